package groupware

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/emersion/go-ical"
	"github.com/emersion/go-webdav"
	"github.com/emersion/go-webdav/caldav"
)

// Calendar is a CalDAV server (RFC 4791, section 5) at the root of its port.
type Calendar struct {
	check  *Check
	logger *slog.Logger
	shelf  *shelf
}

// NewCalendar makes an empty calendar for each login name.
func NewCalendar(check *Check, logger *slog.Logger, logins []string) *Calendar {
	return &Calendar{check, logger, newShelf("calendars", logins, check.Now)}
}

// Serve answers on the listener until ctx ends. It has no TLS and so belongs on
// a loopback address.
func (c *Calendar) Serve(ctx context.Context, listener net.Listener) error {
	return serveHTTP(ctx, listener, requireBearer(c.check, c.logger, &caldav.Handler{Backend: c}), c.logger)
}

// AddEvent puts an event of one hour into somebody's calendar.
func (c *Calendar) AddEvent(login, uid, summary string, start time.Time) error {
	event := ical.NewEvent()
	event.Props.SetText(ical.PropUID, uid)
	event.Props.SetDateTime(ical.PropDateTimeStamp, c.shelf.now().UTC())
	event.Props.SetDateTime(ical.PropDateTimeStart, start.UTC()) // a local time would be written as TZID=Local
	event.Props.SetDateTime(ical.PropDateTimeEnd, start.UTC().Add(time.Hour))
	event.Props.SetText(ical.PropSummary, summary)
	calendar := ical.NewCalendar()
	calendar.Props.SetText(ical.PropVersion, "2.0")
	calendar.Props.SetText(ical.PropProductID, "-//Signpost//demo//EN")
	calendar.Children = append(calendar.Children, event.Component)

	ctx := context.WithValue(context.Background(), loginKey{}, login)
	collection, err := c.shelf.collectionPath(ctx)
	if err != nil {
		return fmt.Errorf("add event: %w", err)
	}
	_, err = c.PutCalendarObject(ctx, collection+uid+".ics", calendar, &caldav.PutCalendarObjectOptions{})
	if err != nil {
		return fmt.Errorf("add event: %w", err)
	}
	return nil
}

// CurrentUserPrincipal returns the path of the person who asks.
func (c *Calendar) CurrentUserPrincipal(ctx context.Context) (string, error) {
	return c.shelf.principal(ctx)
}

// CalendarHomeSetPath returns the path of the person's calendars.
func (c *Calendar) CalendarHomeSetPath(ctx context.Context) (string, error) {
	return c.shelf.homePath(ctx)
}

// CreateCalendar refuses: each person has one calendar.
func (*Calendar) CreateCalendar(context.Context, *caldav.Calendar) error { return errFixed }

// ListCalendars returns the person's one calendar.
func (c *Calendar) ListCalendars(ctx context.Context) ([]caldav.Calendar, error) {
	collection, err := c.shelf.collectionPath(ctx)
	if err != nil {
		return nil, err
	}
	return []caldav.Calendar{{Path: collection, Name: "Calendar", SupportedComponentSet: []string{ical.CompEvent}}}, nil
}

// GetCalendar returns the calendar at a path.
func (c *Calendar) GetCalendar(ctx context.Context, path string) (*caldav.Calendar, error) {
	if err := c.shelf.ownCollection(ctx, path); err != nil {
		return nil, err
	}
	all, err := c.ListCalendars(ctx)
	if err != nil {
		return nil, err
	}
	return &all[0], nil
}

// GetCalendarObject returns the object at a path.
func (c *Calendar) GetCalendarObject(ctx context.Context, path string, _ *caldav.CalendarCompRequest) (*caldav.CalendarObject, error) {
	it, err := c.shelf.get(ctx, path)
	if err != nil {
		return nil, err
	}
	return calendarObject(it)
}

// ListCalendarObjects returns the objects of a calendar.
func (c *Calendar) ListCalendarObjects(ctx context.Context, path string, _ *caldav.CalendarCompRequest) ([]caldav.CalendarObject, error) {
	items, err := c.shelf.list(ctx, path)
	if err != nil {
		return nil, err
	}
	var objects []caldav.CalendarObject
	for _, it := range items {
		object, err := calendarObject(it)
		if err != nil {
			return nil, err
		}
		objects = append(objects, *object)
	}
	return objects, nil
}

// QueryCalendarObjects returns the objects of a calendar that a filter lets through.
func (c *Calendar) QueryCalendarObjects(ctx context.Context, path string, query *caldav.CalendarQuery) ([]caldav.CalendarObject, error) {
	objects, err := c.ListCalendarObjects(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	return caldav.Filter(query, objects)
}

// PutCalendarObject saves an object.
func (c *Calendar) PutCalendarObject(ctx context.Context, path string, calendar *ical.Calendar, o *caldav.PutCalendarObjectOptions) (*caldav.CalendarObject, error) {
	if _, _, err := caldav.ValidateCalendarObject(calendar); err != nil {
		return nil, caldav.NewPreconditionError(caldav.PreconditionValidCalendarObjectResource)
	}
	var text bytes.Buffer
	if err := ical.NewEncoder(&text).Encode(calendar); err != nil {
		return nil, webdav.NewHTTPError(http.StatusBadRequest, err)
	}
	it, err := c.shelf.put(ctx, path, text.Bytes(), o.IfMatch, o.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	return calendarObject(it)
}

// DeleteCalendarObject removes an object.
func (c *Calendar) DeleteCalendarObject(ctx context.Context, path string) error {
	return c.shelf.remove(ctx, path)
}

func calendarObject(it item) (*caldav.CalendarObject, error) {
	data, err := ical.NewDecoder(bytes.NewReader(it.text)).Decode()
	if err != nil {
		return nil, fmt.Errorf("read calendar object: %w", err)
	}
	return &caldav.CalendarObject{
		Path: it.path, ModTime: it.savedAt, ContentLength: int64(len(it.text)), ETag: it.etag, Data: data,
	}, nil
}
