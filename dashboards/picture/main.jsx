// Draws one dashboard with Grafana's UI components, from the very JSON that is
// shipped and what a Prometheus answers. ?board=loop&prometheus=URL&from=MS&to=MS
// and variables as JSON. Sets document.body.dataset.done when all is drawn.
import { useEffect, useLayoutEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import {
  applyFieldOverrides, createTheme, dateTime, getFieldDisplayValues, standardTransformers, standardTransformersRegistry, ThemeContext, transformDataFrame,
} from '@grafana/data';
import { BigValue, GlobalStyles, PanelChrome, Table, TimeSeries } from '@grafana/ui';
import { lastValueFrom } from 'rxjs';
import { askRange, fill, frames } from './prometheus.js';

const boards = import.meta.glob('../*.json', { eager: true, import: 'default' });
const parameters = new URLSearchParams(location.search);
const board = boards[`../${parameters.get('board')}.json`];
const choice = {
  prometheus: parameters.get('prometheus'), from: Number(parameters.get('from')), to: Number(parameters.get('to')),
  variables: JSON.parse(parameters.get('variables') ?? '{}'),
};
const theme = createTheme({ colors: { mode: 'dark' } });
const width = 1500, cell = 30, gap = 8;

standardTransformersRegistry.setInit(() => [standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer]
  .map((t) => ({ id: t.id, name: t.name, transformation: () => t })));

// configured gives frames the panel's units, thresholds, colours and names.
function configured(panel, data) {
  const { defaults, overrides } = panel.fieldConfig;
  for (const frame of data) {
    for (const field of frame.fields) {
      if (field.type === 'time' && panel.type !== 'table') continue;
      field.config = { ...structuredClone(defaults), ...field.config, links: [] };
      const shown = field.config.displayName ?? field.config.displayNameFromDS ?? field.name;
      for (const o of overrides ?? []) {
        if (o.matcher.id !== 'byName' || o.matcher.options !== shown) continue;
        for (const { id, value } of o.properties) {
          if (id.startsWith('custom.')) field.config.custom = { ...field.config.custom, [id.slice(7)]: value };
          else field.config[id] = value;
        }
      }
    }
  }
  return applyFieldOverrides({ data, theme, timeZone: 'utc', replaceVariables: (s) => s, fieldConfig: { defaults: {}, overrides: [] } });
}

async function load(panel) {
  let data = (await Promise.all(panel.targets.map((t) => frames(choice, panel, t)))).flat();
  if (panel.transformations?.length) {
    data = await lastValueFrom(transformDataFrame(panel.transformations, data));
  }
  return configured(panel, data.filter((f) => f.length > 0));
}

// Markers draws the dashboard's annotations over a plot.
function Markers({ config, markers }) {
  useLayoutEffect(() => {
    config.addHook('draw', (u) => {
      for (const { at, color } of markers) {
        const x = u.valToPos(at, 'x', true);
        if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
        u.ctx.save();
        u.ctx.strokeStyle = theme.visualization.getColorByName(color);
        u.ctx.setLineDash([5, 5]);
        u.ctx.lineWidth = 2;
        u.ctx.beginPath();
        u.ctx.moveTo(x, u.bbox.top);
        u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
        u.ctx.stroke();
        u.ctx.restore();
      }
    });
  }, [config, markers]);
  return null;
}

function Plot({ panel, data, markers, w, h }) {
  const range = { from: dateTime(choice.from), to: dateTime(choice.to) };
  return (
    <TimeSeries frames={data} structureRev={1} width={w} height={h} timeZone="utc" timeRange={{ ...range, raw: range }} legend={panel.options.legend}
      options={panel.options}>
      {(config) => <Markers config={config} markers={markers} />}
    </TimeSeries>
  );
}

function Numbers({ panel, data, w, h }) {
  const values = data.length ? getFieldDisplayValues({
    fieldConfig: { defaults: panel.fieldConfig.defaults, overrides: [] }, reduceOptions: panel.options.reduceOptions, replaceVariables: (s) => s,
    theme, data, timeZone: 'utc', sparkline: false,
  }) : [{ display: { text: panel.fieldConfig.defaults.noValue, numeric: NaN, color: theme.colors.text.disabled } }];
  return (
    <div style={{ display: 'flex' }}>
      {values.map((v, i) => (
        <BigValue key={i} theme={theme} width={w / values.length} height={h} value={{ ...v.display, title: values.length > 1 ? v.display.title : undefined }}
          graphMode={panel.options.graphMode} colorMode={panel.options.colorMode} justifyMode="auto" textMode="auto" />
      ))}
    </div>
  );
}

function Content(props) {
  const { panel, data, w, h } = props;
  if (panel.type === 'stat') return <Numbers {...props} />;
  if (!data.length) return <div style={{ color: theme.colors.text.secondary, padding: 16 }}>No data</div>;
  if (panel.type === 'timeseries') return <Plot {...props} />;
  return <Table data={data[0]} width={w} height={h} initialSortBy={panel.options.sortBy ?? []} />;
}

function Panel({ panel, data, markers }) {
  const { x, y, w, h } = panel.gridPos;
  const place = { position: 'absolute', left: (x * width) / 24, top: y * (cell + gap), width: (w * width) / 24 - gap, height: h * (cell + gap) - gap };
  if (panel.type === 'row') {
    return <h3 style={{ ...place, margin: 0, paddingTop: 4, fontSize: 15, color: theme.colors.text.primary }}>{panel.title}</h3>;
  }
  return (
    <div style={place}>
      <PanelChrome title={panel.title} description={panel.description} width={place.width} height={place.height} padding="md">
        {(w, h) => <Content panel={panel} data={data} markers={markers} w={w} h={h} />}
      </PanelChrome>
    </div>
  );
}

// markersOf asks for the annotations: the value is the time.
async function markersOf() {
  const all = await Promise.all(board.annotations.list.filter((a) => a.expr).map(async (a) => {
    const series = await askRange(choice, fill(a.expr, choice));
    return series.flatMap((s) => [...new Set(s.values.map(([, v]) => Number(v)))].map((at) => ({ at, color: a.iconColor })));
  }));
  return all.flat();
}

function Page() {
  const [loaded, setLoaded] = useState();
  useEffect(() => {
    Promise.all([markersOf(), ...board.panels.map((p) => (p.targets ? load(p) : undefined))])
      .then(([markers, ...data]) => setLoaded({ markers, data }))
      .catch((e) => { document.body.dataset.failed = String(e.stack ?? e); });
  }, []);
  useEffect(() => {
    if (loaded) setTimeout(() => { document.body.dataset.done = 'true'; }, 1000); // canvases follow a frame later
  }, [loaded]);
  if (!loaded) return null;
  const height = Math.max(...board.panels.map((p) => p.gridPos.y + p.gridPos.h)) * (cell + gap);
  return (
    <div style={{ padding: 16, background: theme.colors.background.canvas, width: width + 24 }}>
      <header style={{ display: 'flex', justifyContent: 'space-between', paddingBottom: 8 }}>
        <strong style={{ fontSize: 18 }}>{board.title}</strong>
        <span style={{ color: theme.colors.text.secondary }}>{Object.entries(choice.variables).map(([k, v]) => `${k}: ${v}`).join(' · ')}</span>
      </header>
      <div style={{ position: 'relative', height }}>
        {board.panels.map((p, i) => <Panel key={p.id} panel={p} data={loaded.data[i]} markers={loaded.markers} />)}
      </div>
      <footer style={{ color: theme.colors.text.secondary, paddingTop: 8 }}>
        Drawn with Grafana's UI components (@grafana/ui 13.2.2), not by a Grafana server, from what Prometheus answered after deployloop demo --stack.
      </footer>
    </div>
  );
}

createRoot(document.getElementById('page')).render(
  <ThemeContext.Provider value={theme}><GlobalStyles /><Page /></ThemeContext.Provider>,
);
