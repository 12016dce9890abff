// Asks a Prometheus what Grafana's own data source would, and gives data frames.
import { FieldType, toDataFrame } from '@grafana/data';

// A plot leaves out what is no number.
const number = (text) => (Number.isFinite(Number(text)) ? Number(text) : null);

const seconds = (ms) => Math.floor(ms / 1000);

// fill puts the choice of the template variables into a query.
export function fill(text, choice) {
  return text.replace(/\$\{?(\w+)\}?/g, (_, name) => {
    switch (name) {
      case '__range': return `${seconds(choice.to - choice.from)}s`;
      case '__range_s': return `${seconds(choice.to - choice.from)}`;
      case '__rate_interval': return '20s';
      default: return choice.variables[name] ?? '.*';
    }
  });
}

async function ask(choice, path, parameters) {
  const answer = await fetch(`${choice.prometheus}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const body = await answer.json();
  if (body.status !== 'success') {
    throw new Error(`${parameters.query}: ${body.error}`);
  }
  return body.data.result;
}

export function askRange(choice, query, step = 5) {
  return ask(choice, 'query_range', { query, start: seconds(choice.from), end: seconds(choice.to), step });
}

const legend = (format, labels) => format
  ? format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? '')
  : JSON.stringify(labels);

// frames of one target: a frame a series, or one table.
export async function frames(choice, panel, target) {
  const query = fill(target.expr, choice);
  if (target.range) {
    return (await askRange(choice, query)).map((series) => toDataFrame({
      refId: target.refId,
      fields: [
        { name: 'Time', type: FieldType.time, values: series.values.map(([t]) => t * 1000) },
        { name: 'Value', type: FieldType.number, labels: series.metric, config: { displayNameFromDS: legend(target.legendFormat, series.metric) },
          values: series.values.map(([, v]) => number(v)) },
      ],
    }));
  }
  const result = await ask(choice, 'query', { query, time: seconds(choice.to) });
  if (target.format !== 'table') {
    return result.map((series) => toDataFrame({
      refId: target.refId,
      fields: [
        { name: 'Time', type: FieldType.time, values: [series.value[0] * 1000] },
        { name: 'Value', type: FieldType.number, labels: series.metric, config: { displayNameFromDS: target.legendFormat ? legend(target.legendFormat, series.metric) : panel.title },
          values: [Number(series.value[1])] },
      ],
    }));
  }
  const labels = [...new Set(result.flatMap((series) => Object.keys(series.metric)))].sort();
  return [toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: result.map((s) => s.value[0] * 1000) },
      ...labels.map((name) => ({ name, type: FieldType.string, values: result.map((s) => s.metric[name] ?? '') })),
      { name: panel.targets.length > 1 ? `Value #${target.refId}` : 'Value', type: FieldType.number, values: result.map((s) => Number(s.value[1])) },
    ],
  })];
}
