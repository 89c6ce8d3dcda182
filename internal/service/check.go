package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"signpost/directory"
	"signpost/internal/store"
)

// Check says why Open would refuse this configuration, or what was declared under
// it, and changes nothing. The tenants are those of a declaration that has been
// read, or none. The error is directory.Problems if only these contradict each other
// or what is there.
func Check(ctx context.Context, c Config, declared []directory.Tenant) error {
	var certificate error
	if c.TLSCert != "" {
		_, certificate = loadCertificate(c, time.Now, slog.New(slog.DiscardHandler))
	}
	stored, revision, err := checkData(ctx, c)
	if err := errors.Join(certificate, err); err != nil {
		return err
	}
	_, err = makePlan(c.BaseURL, stored, declared, revision, false)
	return err
}

// checkData looks at the database, if there is one, and returns what is declared
// in it. One that is older than this program is what Open would migrate.
func checkData(ctx context.Context, c Config) (tenants []directory.Tenant, revision int64, err error) {
	db, err := lookAtData(ctx, c)
	if err != nil || db == nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Check(ctx); errors.Is(err, store.ErrOlder) {
		return nil, 0, nil
	} else if err != nil {
		return nil, 0, err
	}
	if err := checkKey(ctx, db); err != nil {
		return nil, 0, err
	}
	tenants, revision, err = db.Tenants(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("load tenants: %w", err)
	}
	return tenants, revision, nil
}
