package cicdreceiver

import (
	"context"
	"net/http"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
)

const scopeName = event.ScopeCICD

// serviceName is the resource of everything the receiver says itself. It is not
// the deployed service: the telemetry of a build must not mix with that of a
// service of the same name.
const serviceName = "cicd"

// send gives what a request said to the pipelines; nil when they took it. A
// request that is sent again after a failure may repeat records: events are
// reconciled by the ledger and spans keep their ids.
func (r *cicdReceiver) send(ctx context.Context, source string, in cicd.Intake) *answer {
	logs := r.eventLogs(in)
	if records := logs.LogRecordCount(); records > 0 {
		if r.out.logs == nil {
			if r.out.traces == nil && r.out.metrics == nil || len(in.Runs) == 0 {
				refusal := refuse(http.StatusNotImplemented, outcomeNoPipeline, "cicd is in no logs pipeline here: add it to the receivers of one")
				return &refusal
			}
		} else if err := r.out.logs.ConsumeLogs(ctx, logs); err != nil {
			return r.pipelineFailure("logs", err)
		} else {
			r.counts.sent(ctx, source, records)
		}
	}
	if r.out.traces != nil {
		if traces := runTraces(in.Runs, r.set.BuildInfo.Version); traces.SpanCount() > 0 {
			if err := r.out.traces.ConsumeTraces(ctx, traces); err != nil {
				return r.pipelineFailure("traces", err)
			}
		}
	}
	if r.out.metrics != nil {
		for _, run := range in.Runs {
			r.runs.record(ctx, run)
		}
	}
	return nil
}

func (r *cicdReceiver) pipelineFailure(signal string, err error) *answer {
	r.logger.Warn("the pipeline did not take what was sent", zap.String("signal", signal), zap.Error(err))
	if consumererror.IsPermanent(err) {
		refusal := refuse(http.StatusInternalServerError, outcomePipelineRefused, "the %s pipeline refused it for good; its log says why", signal)
		return &refusal
	}
	refusal := refuse(http.StatusServiceUnavailable, outcomePipelineBusy, "the %s pipeline cannot take it now; send it again", signal)
	return &refusal
}

func (r *cicdReceiver) eventLogs(in cicd.Intake) plog.Logs {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr(event.AttrServiceName, serviceName)
	scope := resource.ScopeLogs().AppendEmpty()
	scope.Scope().SetName(scopeName)
	scope.Scope().SetVersion(r.set.BuildInfo.Version)
	observed := pcommon.NewTimestampFromTime(r.now())
	next := func() plog.LogRecord {
		record := scope.LogRecords().AppendEmpty()
		record.SetObservedTimestamp(observed)
		return record
	}
	for _, c := range in.Changes {
		eventotlp.EncodeChange(c, next())
	}
	for _, run := range in.Runs {
		record := next()
		eventotlp.EncodePipelineRun(run.PipelineRun, record)
		if traceID, ok := runTraceID(run.PipelineRun); ok {
			record.SetTraceID(traceID)
			record.SetSpanID(runSpanID(run.PipelineRun))
		}
	}
	for _, t := range in.Tests {
		eventotlp.EncodeTestResult(t, next())
	}
	for _, f := range in.Findings {
		eventotlp.EncodeFinding(f, next())
	}
	for _, m := range in.Measurements {
		eventotlp.EncodeMeasurement(m, next())
	}
	for _, report := range in.Reports {
		eventotlp.EncodeReport(report, next())
	}
	for _, d := range in.Deployments {
		eventotlp.EncodeDeployment(d, next())
	}
	return logs
}
