// Package backends starts the servers that Signpost can keep its data in, for
// tests: PostgreSQL, and Redis alone, behind TLS, with Sentinel and as a Cluster.
// All listen on 127.0.0.1 with ports that were free, in folders of their own, and
// end with the process that started them. Suites that only need a server to be
// there share those of test/withbackends through Postgres, Redis, Cluster, Sentinel
// and TLSRedis; tests of outages start their own and stop them in the middle.
package backends

// The variables through which test/withbackends tells tests where its servers are.
const (
	PostgresVariable = "SIGNPOST_TEST_POSTGRES"       // URL of a user who may create databases
	RedisVariable    = "SIGNPOST_TEST_REDIS"          // redis://
	ClusterVariable  = "SIGNPOST_TEST_REDIS_CLUSTER"  // redis+cluster://, three nodes
	SentinelVariable = "SIGNPOST_TEST_REDIS_SENTINEL" // redis+sentinel://, three sentinels
	TLSVariable      = "SIGNPOST_TEST_REDIS_TLS"      // rediss://, a user who may do no more than Signpost needs
	CAVariable       = "SIGNPOST_TEST_REDIS_CA"       // file with the authority of TLSVariable's certificate, PEM
)

// EnginesVariable says on which engines the suites run that can run on either:
// "remote" is PostgreSQL and Redis, nothing is SQLite and the memory of the process.
const EnginesVariable = "SIGNPOST_TEST_ENGINES"
