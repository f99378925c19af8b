import type { TraceEvent } from './trace.ts';

/** Columns of a diagram: more do not fit a screen. */
const MAX_COLUMNS = 7;
const COLUMN_WIDTH = 16;
/** What does not concern the victim's ends directly and comes in thousands. */
const BULK = new Set(['bytes']);

/** The last events among `names`, one column a node: what a person draws on paper to understand a failure. */
export function drawFlow(events: readonly TraceEvent[], names: readonly string[], lines = 60): string {
  const columns = [...new Set(names)].slice(0, MAX_COLUMNS);
  const concerns = (event: TraceEvent): boolean =>
    event.from === '' || (columns.includes(event.from) && (event.to === '' || columns.includes(event.to)));
  const shown = merge(events.filter(concerns)).slice(-lines);
  const head = `${' '.repeat(12)}${columns.map((name) => name.padEnd(COLUMN_WIDTH)).join('')}`;
  return [head, ...shown.map((event) => drawLine(event, columns))].join('\n');
}

/** Chunks of bytes between two nodes in a row are one arrow. */
function merge(events: readonly TraceEvent[]): readonly TraceEvent[] {
  const merged: TraceEvent[] = [];
  for (const event of events) {
    const last = merged.at(-1);
    const isSame = last !== undefined && last.kind === event.kind && last.from === event.from && last.to === event.to;
    if (isSame && BULK.has(event.kind)) merged[merged.length - 1] = { ...event, count: event.count + last.count };
    else merged.push(event);
  }
  return merged;
}

function drawLine(event: TraceEvent, columns: readonly string[]): string {
  const { atMs, kind, from, to, detail, count } = event;
  const label = [kind, detail, count === 0 ? '' : String(count)].filter((part) => part !== '').join(' ');
  const time = `${(atMs / 1000).toFixed(3).padStart(10)}  `;
  const start = columns.indexOf(from);
  if (start < 0) return `${time}${'═'.repeat(4)} ${label} ${'═'.repeat(4)}`;
  const end = columns.indexOf(to);
  if (end < 0 || end === start) return `${time}${gutter(columns.length, start)}● ${label}`;
  const [left, right] = start < end ? [start, end] : [end, start];
  const width = (right - left) * COLUMN_WIDTH - 1;
  const arrow = start < end ? `├${'─'.repeat(width - 1)}▶` : `◀${'─'.repeat(width - 1)}┤`;
  return `${time}${gutter(columns.length, left)}${arrow} ${label}`;
}

function gutter(_columns: number, until: number): string {
  return `│${' '.repeat(COLUMN_WIDTH - 1)}`.repeat(until);
}
