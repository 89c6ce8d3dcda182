package store

import "database/sql"

// Pools returns how the pools of connections are, by name: "read" and "write", or
// "all" where there is one for both.
func (s *Store) Pools() map[string]sql.DBStats {
	if s.read == s.write {
		return map[string]sql.DBStats{"all": s.read.Stats()}
	}
	return map[string]sql.DBStats{"read": s.read.Stats(), "write": s.write.Stats()}
}
