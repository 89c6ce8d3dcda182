package web

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"rsc.io/qr"
)

// DeviceCode is the page on which a person enters the code that a device shows (RFC
// 8628, section 3.3). Its form posts "user_code" to Action.
type DeviceCode struct {
	Organisation Organisation
	Action       string // https, http or a path; anything else posts to the page's own address
	UserCode     string // to fill the field with; may be empty
	Wrong        bool   // no device waits with the code
	// Link is the address of this page with the code filled in, to be drawn as a QR
	// code for who has their identity provider on a phone; empty draws none.
	Link string
}

// DeviceConfirm is the page that asks whether the person started this just now (R16).
// Its form posts "user_code" and "decision" to Action.
type DeviceConfirm struct {
	Asker        Asker
	Organisation Organisation
	UserCode     string        // as the device shows it: "BCDF-GHJK"
	Address      string        // network address that the device asked from
	Age          time.Duration // since then
	Permissions  []Permission
	Action       string // https, http or a path; anything else posts to the page's own address
}

// DeviceDone is the page at the end, which sends the person back to the device.
type DeviceDone struct {
	Organisation Organisation
	Result       string // one of the results below; an unknown one is shown as DeviceFailed
}

// Results of a device's sign-in.
const (
	DeviceAllowed = "allowed" // the device has access
	DeviceDenied  = "denied"  // the person said no
	DeviceFailed  = "failed"  // it was never decided
)

// DeviceCode writes the page for the code.
func (p *Pages) DeviceCode(w io.Writer, lang string, v DeviceCode) error {
	return p.write(w, "device", frame{Lang: lang, Organisation: v.Organisation, Help: v.Organisation.Help, View: v})
}

// DeviceConfirm writes the page that asks whether the person started this.
func (p *Pages) DeviceConfirm(w io.Writer, lang string, v DeviceConfirm) error {
	return p.write(w, "device_confirm", frame{Lang: lang, Organisation: v.Organisation, Help: v.Organisation.Help, View: v})
}

// DeviceDone writes the page at the end.
func (p *Pages) DeviceDone(w io.Writer, lang string, v DeviceDone) error {
	if v.Result != DeviceAllowed && v.Result != DeviceDenied {
		v.Result = DeviceFailed
	}
	return p.write(w, "device_done", frame{Lang: lang, Organisation: v.Organisation, Help: v.Organisation.Help, View: v})
}

// ago says how long ago something was, in whole minutes.
func (w words) ago(d time.Duration) (string, error) {
	switch minutes := int(d / time.Minute); {
	case minutes < 1:
		return w.say("device.ago.moment")
	case minutes == 1:
		return w.say("device.ago.minute")
	default:
		return w.say("device.ago.minutes", "count", strconv.Itoa(minutes))
	}
}

// square is a QR code as one path of an SVG image, drawn into the page itself: the
// pages may load nothing but what is below /assets/.
type square struct {
	Size int    // of a side with its margin, in modules
	Path string // the dark modules
}

// margin is the blank frame that readers need, in modules (ISO/IEC 18004, section 6.3.8).
const margin = 4

// draw makes the QR code of a text, and none of an empty one.
func draw(text string) (square, error) {
	if text == "" {
		return square{}, nil
	}
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return square{}, fmt.Errorf("web: draw QR code: %w", err)
	}
	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			start := x
			for code.Black(x, y) { // beyond the edge it is white
				x++
			}
			if x > start {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", start+margin, y+margin, x-start, x-start)
			}
		}
	}
	return square{Size: code.Size + 2*margin, Path: path.String()}, nil
}
