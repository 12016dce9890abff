package doctor

// Cause is why a link is broken or weak. docs/doctor.md has a line for each.
type Cause string

// The causes, by what they are of.
const (
	// Of the configuration.
	CauseConfigInvalid       Cause = "config_invalid"
	CauseNotWatched          Cause = "not_watched"
	CauseSignalNotWatched    Cause = "signal_not_watched"
	CauseNotMarked           Cause = "not_marked"
	CauseDeploymentsUnrouted Cause = "deployments_unrouted"
	CauseExporterUnused      Cause = "exporter_unused"
	CauseNobodyTold          Cause = "nobody_told"
	CauseModeShadow          Cause = "mode_shadow"
	CauseHeartbeatsDiffer    Cause = "heartbeats_differ"
	CauseLedgerInMemory      Cause = "ledger_in_memory"
	CauseNoConsole           Cause = "no_console"
	CauseLoopMetricsUnrouted Cause = "loop_metrics_unrouted"

	// Of any server.
	CauseNotRunning       Cause = "not_running"
	CauseNothingListens   Cause = "nothing_listens"
	CauseTimeout          Cause = "timeout"
	CauseUnknownHost      Cause = "unknown_host"
	CauseTLS              Cause = "tls"
	CauseConnectionFailed Cause = "connection_failed"
	CauseWrongServer      Cause = "wrong_server"
	CauseUnauthenticated  Cause = "unauthenticated"
	CauseNoPermission     Cause = "no_permission"
	CauseRefused          Cause = "refused"
	CauseServerError      Cause = "server_error"
	CauseClockSkew        Cause = "clock_skew"

	// Of the running deployloop.
	CauseOverloaded        Cause = "overloaded"
	CauseSignalNotTaken    Cause = "signal_not_taken"
	CauseSecretDiffers     Cause = "secret_differs"
	CauseUnsignedAccepted  Cause = "unsigned_accepted"
	CauseDeliveriesRefused Cause = "deliveries_refused"
	CauseConfigDiffers     Cause = "config_differs"
	CauseVersionDiffers    Cause = "version_differs"

	// Of one service.
	CauseNoTelemetry      Cause = "no_telemetry"
	CauseNoTraces         Cause = "no_traces"
	CauseNoVersion        Cause = "no_version"
	CauseNoCommit         Cause = "no_commit"
	CauseNoEnvironment    Cause = "no_environment"
	CauseNoDeploySource   Cause = "no_deploy_source"
	CauseCommitUnknown    Cause = "commit_unknown"
	CauseCommitNotInClone Cause = "commit_not_in_clone"
	CauseServiceClock     Cause = "service_clock"

	// Of back ends.
	CauseAlertNotSeen        Cause = "alert_not_seen"
	CauseAlertNotResolved    Cause = "alert_not_resolved"
	CauseAnnotationNotSeen   Cause = "annotation_not_seen"
	CauseAnnotationLeft      Cause = "annotation_left"
	CauseRemoteWriteDisabled Cause = "remote_write_disabled"
	CauseNotScraped          Cause = "not_scraped"
	CauseRepositoryUnknown   Cause = "repository_unknown"

	// Of this machine.
	CauseStorageMissing    Cause = "storage_missing"
	CauseStorageUnwritable Cause = "storage_unwritable"
	CauseStorageFull       Cause = "storage_full"
	CauseNoGit             Cause = "no_git"
	CausePathMissing       Cause = "path_missing"
	CauseNotARepository    Cause = "not_a_repository"
	CauseEmptyRepository   Cause = "empty_repository"
	CauseShallowClone      Cause = "shallow_clone"
)
