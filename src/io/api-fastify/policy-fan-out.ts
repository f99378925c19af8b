import type { NodeHub } from '#io/control-https/node-hub.ts';
import { Compile } from 'typebox/compile';
import { explanation } from '#control/contract/policies.ts';
import { CodedError } from '#control/coded-error.ts';
import { codeOf } from '#kernel/code-of.ts';

/** Questions under way at once: more would wait for each other at the hub. */
const ASKED_AT_ONCE = 32;
/** Streams named in one answer; more are counted. */
const CLOSES_LIMIT = 1_000;

interface ClosedStream {
  readonly caller: string;
  readonly service: string;
  readonly node: string;
}

interface DryRunResult {
  readonly closes: readonly ClosedStream[];
  readonly streams: number;
  readonly answered: readonly string[];
  readonly unanswered: readonly { readonly node: string; readonly code: string }[];
}

/** Asks every node which of its live streams a change would close. */
export async function dryRun(
  hub: NodeHub,
  nodes: readonly string[],
  change: { readonly name: string; readonly statements: readonly string[] | null },
): Promise<DryRunResult> {
  const closes: ClosedStream[] = [];
  const answered: string[] = [];
  const unanswered: { readonly node: string; readonly code: string }[] = [];
  let streams = 0;
  await eachAtMost(nodes, async (node) => {
    try {
      const answer = readDryRun(node, await hub.ask(node, 'dry-run', change));
      closes.push(...answer.closes);
      streams += answer.streams;
      answered.push(node);
    } catch (error) {
      unanswered.push({ node, code: codeOf(error) ?? 'INTERNAL' });
    }
  });
  return { closes: closes.slice(0, CLOSES_LIMIT), streams, answered: answered.toSorted(), unanswered };
}

/** What a node says is its own; what is not even of the form is no answer. */
const isExplanation = Compile(explanation);

/** The explanation of whoever made a decision, and who could not be asked; undefined where nobody who answers did. */
export async function findDecision(
  hub: NodeHub,
  nodes: readonly string[],
  id: string,
): Promise<{ readonly found: unknown; readonly silent: number }> {
  let found: unknown;
  let silent = 0;
  await eachAtMost(nodes, async (node) => {
    if (found !== undefined) return;
    try {
      const answer = await hub.ask(node, 'why', { id });
      if (isObject(answer) && answer['id'] === id && isExplanation.Check({ ...answer, node }))
        found = { ...answer, node };
    } catch (error) {
      // That it knows nothing of this decision is an answer.
      if (codeOf(error) !== 'DECISION_UNKNOWN') silent++;
    }
  });
  return { found, silent };
}

async function eachAtMost(nodes: readonly string[], work: (node: string) => Promise<void>): Promise<void> {
  const left = [...nodes];
  const worker = async (): Promise<void> => {
    for (let node = left.shift(); node !== undefined; node = left.shift()) await work(node);
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, worker));
}

/** What a node says is only shown. */
function readDryRun(node: string, answer: unknown): Pick<DryRunResult, 'closes' | 'streams'> {
  if (!isObject(answer) || !Array.isArray(answer['closes']))
    throw new CodedError('INTERNAL', `${node} gave no answer that can be read`);
  const rows: unknown[] = answer['closes'];
  const closes = rows.flatMap((row) => {
    if (!isObject(row) || typeof row['caller'] !== 'string' || typeof row['service'] !== 'string') return [];
    return [{ caller: row['caller'].slice(0, 63), service: row['service'].slice(0, 63), node }];
  });
  const { streams } = answer;
  return {
    closes,
    streams: typeof streams === 'number' && Number.isSafeInteger(streams) && streams >= 0 ? streams : 0,
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
