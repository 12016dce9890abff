package event

// Event names: LogRecord.EventName of the records that carry the vocabulary.
const (
	NameChange      = "deployloop.change"
	NamePipelineRun = "deployloop.pipeline.run"
	NameTestResult  = "deployloop.test.result"
	NameFinding     = "deployloop.finding"
	NameMeasurement = "deployloop.measurement"
	NameReport      = "deployloop.report"
	NameDeployment  = "deployloop.deployment"
	NameVerdict     = "deployloop.verdict"
	NameNotice      = "deployloop.notice"
	NameDigest      = "deployloop.digest"
	NameAnomaly     = "deployloop.anomaly"
	NameFeedback    = "deployloop.feedback"
)

// ScopeCICD is the instrumentation scope of what the cicd receiver says of builds
// and deployments: no telemetry of a service that is deployed.
const ScopeCICD = "github.com/deployloop/deployloop/receiver/cicdreceiver"

// Attribute names. Those without the deployloop. prefix are OpenTelemetry
// semantic conventions v1.41.
const (
	AttrServiceName       = "service.name"
	AttrServiceNamespace  = "service.namespace"
	AttrServiceVersion    = "service.version"
	AttrServiceInstanceID = "service.instance.id"
	AttrEnvironment       = "deployment.environment.name"
	AttrDeploymentID      = "deployment.id"
	AttrDeploymentName    = "deployment.name"
	AttrDeploymentStatus  = "deployment.status"
	AttrRevision          = "vcs.ref.head.revision"
	AttrRefName           = "vcs.ref.head.name"
	AttrBaseRevision      = "vcs.ref.base.revision"
	AttrRepositoryURL     = "vcs.repository.url.full"
	AttrRepositoryName    = "vcs.repository.name"
	AttrChangeID          = "vcs.change.id"
	AttrChangeTitle       = "vcs.change.title"
	AttrOwnerName         = "vcs.owner.name"
	AttrProviderName      = "vcs.provider.name"

	AttrPipelineName    = "cicd.pipeline.name"
	AttrPipelineRunID   = "cicd.pipeline.run.id"
	AttrPipelineRunURL  = "cicd.pipeline.run.url.full"
	AttrPipelineState   = "cicd.pipeline.run.state"
	AttrPipelineResult  = "cicd.pipeline.result"
	AttrPipelineAction  = "cicd.pipeline.action.name"
	AttrTaskName        = "cicd.pipeline.task.name"
	AttrTaskRunID       = "cicd.pipeline.task.run.id"
	AttrTaskRunURL      = "cicd.pipeline.task.run.url.full"
	AttrTaskRunResult   = "cicd.pipeline.task.run.result"
	AttrTaskType        = "cicd.pipeline.task.type"
	AttrWorkerName      = "cicd.worker.name"
	AttrWorkerState     = "cicd.worker.state"
	AttrSystemComponent = "cicd.system.component"

	AttrTestSuiteName    = "test.suite.name"
	AttrTestCaseName     = "test.case.name"
	AttrTestResultStatus = "test.case.result.status"

	AttrCodeFilePath     = "code.file.path"
	AttrCodeLineNumber   = "code.line.number"
	AttrCodeFunctionName = "code.function.name"
	AttrCodeStacktrace   = "code.stacktrace"

	AttrExceptionType       = "exception.type"
	AttrExceptionMessage    = "exception.message"
	AttrExceptionStacktrace = "exception.stacktrace"

	AttrImageTags        = "container.image.tags"
	AttrImageTag         = "container.image.tag" // before it was a list
	AttrImageID          = "container.image.id"
	AttrImageRepoDigests = "container.image.repo_digests"
	AttrK8sDeployment    = "k8s.deployment.name"
	AttrReplicaSet       = "k8s.replicaset.name"
	AttrPodName          = "k8s.pod.name"
	AttrPodLabel         = "k8s.pod.label."  // and the label's name
	AttrPodLabels        = "k8s.pod.labels." // the same, before

	AttrHTTPRoute         = "http.route"
	AttrHTTPRequestMethod = "http.request.method"
	AttrHTTPStatusCode    = "http.response.status_code"
	AttrRPCMethod         = "rpc.method"
	AttrURLPath           = "url.path"
	AttrErrorType         = "error.type"
	AttrUserID            = "user.id"
	AttrEndUserID         = "enduser.id"
	AttrSessionID         = "session.id"

	AttrKind             = "deployloop.kind"
	AttrMode             = "deployloop.mode"
	AttrState            = "deployloop.state"
	AttrSource           = "deployloop.source"
	AttrPreviousRevision = "deployloop.deployment.previous_revision"
	AttrPreviousVersion  = "deployloop.deployment.previous_version"
	AttrStartedAt        = "deployloop.deployment.started_at"
	AttrFinishedAt       = "deployloop.deployment.finished_at"
	AttrRollbackCommand  = "deployloop.deployment.rollback_command"
	AttrAliases          = "deployloop.deployment.aliases"
	AttrFirstSeenAt      = "deployloop.deployment.first_seen_at"
	AttrOrdinal          = "deployloop.deployment.ordinal"
	AttrBaseline         = "deployloop.deployment.baseline"
	AttrRollbackOf       = "deployloop.deployment.rollback_of"
	AttrInstances        = "deployloop.deployment.instances"
	AttrSources          = "deployloop.deployment.sources"
	AttrURL              = "deployloop.url"
	AttrRepository       = "deployloop.repository" // as the forge names it: owner and name, a URL or a path

	AttrChangeParents    = "deployloop.change.parents"
	AttrChangeForced     = "deployloop.change.forced"
	AttrChangeMessage    = "deployloop.change.message"
	AttrChangeAuthor     = "deployloop.change.author"
	AttrChangeEmail      = "deployloop.change.author_email"
	AttrChangeCompareURL = "deployloop.change.compare_url"
	AttrChangePullURL    = "deployloop.change.pull_url"
	AttrChangePullHead   = "deployloop.change.pull_head"
	AttrChangeAdded      = "deployloop.change.added"
	AttrChangeModified   = "deployloop.change.modified"
	AttrChangeRemoved    = "deployloop.change.removed"

	AttrStage         = "deployloop.stage"
	AttrRunAttempt    = "deployloop.pipeline.run.attempt"
	AttrRunRefAssumed = "deployloop.pipeline.run.ref_assumed"
	AttrRunQueuedAt   = "deployloop.pipeline.run.queued_at"
	AttrRunStartedAt  = "deployloop.pipeline.run.started_at"
	AttrRunFinishedAt = "deployloop.pipeline.run.finished_at"

	AttrResultID     = "deployloop.result.id"
	AttrTestDuration = "deployloop.test.duration"
	AttrTestMessage  = "deployloop.test.message"

	AttrFindingTool        = "deployloop.finding.tool"
	AttrFindingRule        = "deployloop.finding.rule"
	AttrFindingLevel       = "deployloop.finding.level"
	AttrFindingMessage     = "deployloop.finding.message"
	AttrFindingFingerprint = "deployloop.finding.fingerprint"

	AttrMeasurementName  = "deployloop.measurement.name"
	AttrMeasurementSuite = "deployloop.measurement.suite"
	AttrMeasurementUnit  = "deployloop.measurement.unit"
	AttrMeasurementValue = "deployloop.measurement.value"

	AttrReportKind     = "deployloop.report.kind"
	AttrReportName     = "deployloop.report.name"
	AttrReportSuites   = "deployloop.report.suites"
	AttrReportTools    = "deployloop.report.tools"
	AttrReportTests    = "deployloop.report.tests"
	AttrReportFailures = "deployloop.report.failures"
	AttrReportFindings = "deployloop.report.findings"
	AttrReportProblems = "deployloop.report.problems"
	AttrReportBroken   = "deployloop.report.broken"

	AttrAnomalyID     = "deployloop.anomaly.id"
	AttrVerdict       = "deployloop.verdict"
	AttrReason        = "deployloop.reason"
	AttrCalibrating   = "deployloop.calibrating"
	AttrSeverity      = "deployloop.severity"
	AttrSignal        = "deployloop.signal"
	AttrOperation     = "deployloop.operation"
	AttrTeam          = "deployloop.team"
	AttrClosureReason = "deployloop.closure.reason"
)

// Deprecated spellings that are accepted on input, newest first for each name.
var (
	EnvironmentNames = []string{AttrEnvironment, "deployment.environment"}
	RevisionNames    = []string{AttrRevision, "vcs.ref.head.revision.id", "vcs.repository.ref.revision", "vcs.repository.change.revision", "git.commit.sha"}
	// EventNameAttr is where records told their event name before LogRecord.EventName.
	EventNameAttr = "event.name"
)

// DefaultEnvironment is the environment of whatever names none.
const DefaultEnvironment = "default"

// Metric names of pipeline runs; those without the deployloop. prefix are
// semantic conventions.
const (
	MetricRunDuration  = "cicd.pipeline.run.duration"
	MetricRunActive    = "cicd.pipeline.run.active"
	MetricRunErrors    = "cicd.pipeline.run.errors"
	MetricSystemErrors = "cicd.system.errors"
	MetricWorkerCount  = "cicd.worker.count"
	MetricTaskDuration = "deployloop.pipeline.task.duration"
)

// Metric names of the detector itself, beside those of internal/loopmetrics.
const (
	MetricTelemetryLost = "deployloop.telemetry.lost"
	MetricDetectorSize  = "deployloop.detector.size"
	MetricAlwaysOn      = "deployloop.always_on.services"

	MetricPlaceboWindows     = "deployloop.placebo.windows"
	MetricPlaceboFalseAlarms = "deployloop.placebo.false_alarms"
	MetricPlaceboDropped     = "deployloop.placebo.dropped"
	MetricPlaceboRate        = "deployloop.placebo.rate"
	MetricPlaceboRateLower   = "deployloop.placebo.rate.lower"
	MetricPlaceboRateUpper   = "deployloop.placebo.rate.upper"
)

// MetricDoctorProbe is what deployloop doctor sends to see whether metrics are taken.
const MetricDoctorProbe = "deployloop.doctor.probe"
