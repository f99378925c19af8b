/**
 * One process that asks an API by an open model: each request has the time at which it is meant to be sent, whether or not
 * earlier ones were answered, and its latency counts from then.
 */
import { Agent, request } from 'node:http';
import { parseHostPort } from '#io/edge-listener/host-port.ts';

/** What to ask, how often, for how long. */
export interface ApiLoad {
  readonly address: string;
  readonly method: 'GET' | 'POST';
  readonly paths: readonly string[];
  /** One for each user, taken in turn; none for open routes. */
  readonly tokens: readonly string[];
  readonly body?: unknown;
  readonly perSecond: number;
  readonly seconds: number;
  /** Answers of these codes are no errors. */
  readonly expected: readonly number[];
}

export interface ApiLoadResult {
  readonly latenciesMs: readonly number[];
  readonly errors: number;
  readonly byStatus: Readonly<Record<string, number>>;
  /** From the first intended send to the last answer. */
  readonly tookMs: number;
}

/** More than any server of ours takes from one process. */
const SOCKET_LIMIT = 100;

process.on('message', (load: ApiLoad) => {
  run(load).then(
    (result) => process.send?.(result),
    (error: unknown) => process.send?.({ failure: String(error) }),
  );
});

async function run(load: ApiLoad): Promise<ApiLoadResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: SOCKET_LIMIT, scheduling: 'fifo' });
  const total = Math.round(load.perSecond * load.seconds);
  const latenciesMs: number[] = [];
  const byStatus: Record<string, number> = {};
  let errors = 0;
  const startMs = performance.now();
  const pending: Promise<void>[] = [];
  const one = async (index: number, intendedMs: number): Promise<void> => {
    const status = await ask(load, index, agent);
    latenciesMs.push(performance.now() - intendedMs);
    byStatus[status] = (byStatus[status] ?? 0) + 1;
    if (!load.expected.includes(status)) errors++;
  };
  for (let sent = 0; sent < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - startMs) * load.perSecond) / 1_000) + 1);
    for (; sent < due; sent++) pending.push(one(sent, startMs + (sent * 1_000) / load.perSecond));
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
  }
  await Promise.all(pending);
  agent.destroy();
  return { latenciesMs, errors, byStatus, tookMs: performance.now() - startMs };
}

/** The status; 0 for a connection that failed. */
async function ask(load: ApiLoad, index: number, agent: Agent): Promise<number> {
  const { address, method, paths, tokens } = load;
  const token = tokens[index % Math.max(1, tokens.length)];
  const body = load.body === undefined ? undefined : JSON.stringify(load.body);
  const headers = {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
  };
  return await new Promise((resolve) => {
    const path = paths[index % paths.length] ?? '/';
    const asked = request({ ...parseHostPort(address), method, path, headers, agent }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode ?? 0));
      response.once('error', () => resolve(0));
    });
    asked.once('error', () => resolve(0));
    asked.end(body);
  });
}
