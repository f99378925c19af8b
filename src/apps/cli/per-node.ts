import { CodedError } from '#control/coded-error.ts';
import { type AdminClient, type JsonObject } from '#io/admin-client-http/admin-client.ts';
import { clientOf, type CommonFlags, type Context, printAs, segment } from './context.ts';
import { cellText, type Column, dateText, formatTable, member, objectsOf, textOf } from './table.ts';

/** What several nodes are asked for, and how it is shown. */
interface PerNodeView {
  readonly question: 'peers' | 'streams';
  /** The member of the answer. */
  readonly key: 'peers' | 'streams' | 'ended';
  readonly columns: readonly Column[];
  readonly none: string;
}

export const PEERS: PerNodeView = {
  question: 'peers',
  key: 'peers',
  columns: [
    member('NODE', 'node'),
    member('PEER', 'name'),
    member('STATE', 'state'),
    member('RTT MS', 'rttMs'),
    member('DETECTOR', 'detector'),
    member('GROUP', 'group'),
    member('SIGNATURE', 'signature'),
    { title: 'CERTIFICATE UNTIL', show: (row) => dateText(row['notAfter']) },
  ],
  none: 'no link is up',
};

export const STREAMS: PerNodeView = {
  question: 'streams',
  key: 'streams',
  columns: [
    member('NODE', 'node'),
    member('ROLE', 'role'),
    member('SERVICE', 'service'),
    member('PEER', 'peer'),
    member('SENT BYTES', 'sentBytes'),
    member('RECEIVED BYTES', 'receivedBytes'),
    { title: 'MOVED', show: movedText },
    { title: 'PATH', show: pathText },
  ],
  none: 'no stream is open',
};

export const ENDED: PerNodeView = {
  question: 'streams',
  key: 'ended',
  columns: [
    member('NODE', 'node'),
    member('ROLE', 'role'),
    member('SERVICE', 'service'),
    member('PEER', 'peer'),
    { title: 'ENDED', show: (row) => dateText(row['endedAt']) },
    { title: 'WHY', show: (row) => cellText(row['reason'] ?? 'both sides were done') },
    member('SENT BYTES', 'sentBytes'),
    member('RECEIVED BYTES', 'receivedBytes'),
    { title: 'MOVED', show: movedText },
  ],
  none: 'no stream ended lately',
};

/** How often a stream went over to another way, and of the last time why and how long nothing connected its ends. */
function movedText(row: JsonObject): string {
  const count = row['moveCount'];
  if (typeof count !== 'number' || count === 0) return '-';
  const last = objectsOf(row, 'moves').at(-1);
  const gapMs = last?.['gapMs'];
  const gap = typeof gapMs === 'number' ? ` ${gapMs < 10 ? gapMs.toFixed(1) : gapMs.toFixed(0)} ms` : '';
  return `${count}x ${cellText(last?.['reason'])}${gap}`;
}

/** `unprotected`: one relay whose death leaves no other way. */
function pathText(row: JsonObject): string {
  const notes = [row['state'] === 'detached' ? 'detached' : '', row['protected'] === false ? 'unprotected' : ''];
  return [cellText(row['path']), ...notes].filter((text) => text !== '').join(' ');
}

/** Asks one node, or all that are up. Those that did not answer are named; it is a failure only when none did. */
export async function showPerNode(
  context: Context,
  flags: CommonFlags,
  node: string | undefined,
  view: PerNodeView,
): Promise<void> {
  const client = clientOf(context, flags);
  const names = node === undefined ? await namesUp(client) : [node];
  const { answers, failures } = await askAll(client, names, view);
  if (answers.length === 0 && failures[0] !== undefined) throw failures[0].error;
  const rows = answers.flatMap((answer) => answer.rows);
  const total = answers.reduce((sum, answer) => sum + answer.total, 0);
  const cut = total > rows.length ? { truncated: true, total } : {};
  const unanswered = failures.map(({ name, error }) => ({ node: name, code: error.code, message: error.message }));
  const value = { [view.key]: rows, ...cut, ...(unanswered.length > 0 ? { unanswered } : {}) };
  printAs(context, flags, value, () => {
    const table = formatTable(view.columns, rows, view.none);
    return total > rows.length ? `${table}\n\n${rows.length} of ${total} are shown` : table;
  });
  const silent = failures.map(({ name, error }) => `${name} (${error.code})`);
  if (silent.length > 0) context.warn(`x0: no answer from ${silent.join(', ')}`);
}

interface Asked {
  readonly answers: readonly NodeRows[];
  readonly failures: readonly { readonly name: string; readonly error: CodedError }[];
}

/** One node that does not answer takes nothing away from the others. */
async function askAll(client: AdminClient, names: readonly string[], view: PerNodeView): Promise<Asked> {
  const asked = await Promise.all(
    names.map(async (name) =>
      askNode(client, name, view).catch((error: unknown) => {
        if (error instanceof CodedError) return { name, error };
        throw error;
      }),
    ),
  );
  return {
    answers: asked.filter((each) => 'rows' in each),
    failures: asked.filter((each) => 'error' in each),
  };
}

interface NodeRows {
  readonly rows: readonly JsonObject[];
  /** More than there are rows when the node sent only the first of them. */
  readonly total: number;
}

async function askNode(client: AdminClient, name: string, view: PerNodeView): Promise<NodeRows> {
  const answer = await client.ask('GET', `/nodes/${segment(name)}/${view.question}`);
  const rows = objectsOf(answer, view.key).map((row) => ({ ...row, node: name }));
  const total = view.key === 'ended' ? undefined : answer['total'];
  return { rows, total: typeof total === 'number' ? Math.max(total, rows.length) : rows.length };
}

async function namesUp(client: AdminClient): Promise<readonly string[]> {
  const status = await client.ask('GET', '/status');
  return objectsOf(status, 'nodes').flatMap((node) => (node['state'] === 'up' ? textOf(node, 'name') : []));
}
