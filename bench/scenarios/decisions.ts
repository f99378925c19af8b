import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { PROGRAM_ENVIRONMENT, PROGRAM_FLAGS } from '../../bin/program-flags.js';
import { NodePolicy } from '#apps/node/node-policy.ts';
import { CedarEvaluator } from '#io/policy-cedar/cedar-evaluator.ts';
import { warmUp } from '#io/policy-cedar/warm-up.ts';
import { Conduit } from '#mesh/conduit/conduit.ts';
import { ConduitHandle } from '#mesh/node/conduit-handle.ts';
import { PolicySweep } from '#mesh/node/stream-policy.ts';
import type { PolicyText } from '#trust/policy/engine.ts';
import { explainDecision } from '#trust/policy/explain.ts';
import { MeshPolicy } from '#trust/policy/mesh-policy.ts';
import { replayDecision } from '#trust/policy/policy-decider.ts';
import { bodyOf, memberOf, type PolicyCase, policyCase } from '../../tests/fixtures/policies.ts';
import type { Figure, Scenario } from '../lib/figure.ts';
import { median, quantile } from '../lib/statistics.ts';

const POLICIES = 1_000;
const NODES = 100;
const STREAMS = 10_000;
const ROUNDS = 5;
const CACHED_ASKED = 200_000;
const GENERATED_CASES = 10_000;
const WALL_MS = Date.UTC(2026, 0, 1, 12);

/** How long a decision takes, and whether the record of one is enough to make it again. */
export const decisions: Scenario = {
  name: 'decisions',
  about: `${POLICIES} policies, of which ten can apply to each request; ${NODES} nodes; ${STREAMS} live streams`,
  run: async () => {
    const policy = createPolicy();
    const body = meshBody();
    policy.handleSnapshot(body, 1);
    warm(policy);
    const uncached: number[] = [];
    for (let round = 0; round < ROUNDS; round++) uncached.push(...askAll(policy, body, round));
    const cached = askCached(policy);
    const redecided = await redecideAll(body);
    const replayed = replayGenerated();
    const memory = await measureMemory();
    return [
      bar('one decision, uncached, median', median(uncached), 'ms', 0.2, uncached.slice(0, 1_000)),
      { name: 'one decision, uncached, 99th percentile', value: quantile(uncached, 0.99), unit: 'ms', samples: [] },
      bar('one decision, cached', cached * 1_000, 'µs', 5, [cached * 1_000]),
      bar(`${STREAMS} streams decided again by ${POLICIES} new policies`, redecided.totalMs, 'ms', 2_000, [
        redecided.totalMs,
      ]),
      bar('  longest turn meanwhile, processor time', redecided.longestWorkMs, 'ms', 5, [redecided.longestWorkMs]),
      { name: '  longest turn meanwhile, by the clock', value: redecided.longestMs, unit: 'ms', samples: [] },
      exactly('generated decisions that a replay of their record disagrees with', replayed, 0),
      memory,
    ];
  },
};

function bar(name: string, value: number, unit: string, most: number, samples: readonly number[]): Figure {
  return { name, value, unit, bar: { kind: 'at most', value: most }, samples };
}

function exactly(name: string, value: number, wanted: number): Figure {
  return {
    name,
    value,
    unit: '',
    bar: { kind: 'exactly', value: wanted },
    samples: [value],
    note: `of ${GENERATED_CASES}`,
  };
}

function createPolicy(): MeshPolicy {
  return new MeshPolicy({
    evaluator: new CedarEvaluator(),
    newId: () => randomBytes(16).toString('hex'),
    wallMs: () => WALL_MS,
  });
}

/** Ten policies for each of a hundred services: for groups, single nodes, with conditions, and two that forbid. */
function meshBody(): ReturnType<typeof bodyOf> {
  const members = Array.from({ length: NODES }, (_, index) =>
    memberOf(`n${index}`, { env: 'prod', site: `s${index % 10}` }),
  );
  const policies = Array.from({ length: POLICIES }, (_, index): PolicyText => {
    const service = `resource == X0::Service::"v${index % 100}"`;
    const kind = Math.floor(index / 100);
    const principal = kind < 3 ? 'principal in X0::Group::"env=prod"' : 'principal in X0::Group::"members"';
    const condition = `when { principal.posture.os == "os${kind}" && context.minuteOfDay < ${1_000 + kind} }`;
    const effect = kind > 7 ? 'forbid' : 'permit';
    return { id: `p${index}`, text: `${effect}(${principal}, action, ${service}) ${kind === 0 ? '' : condition};` };
  });
  return bodyOf(members, policies);
}

/** Lets the evaluator's code be compiled as far as it will be. */
function warm(policy: MeshPolicy): void {
  for (let at = 0; at < 3_000; at++) policy.decideConnect(`n${at % NODES}`, `v${(at * 7) % 100}`);
}

/** Every pair of a node and one of its services for the first time, in milliseconds each. */
function askAll(policy: MeshPolicy, body: ReturnType<typeof bodyOf>, round: number): readonly number[] {
  policy.handleSnapshot(body, 2 + round);
  return Array.from({ length: 2_000 }, (_, at) => {
    const beganMs = performance.now();
    policy.decideConnect(`n${at % NODES}`, `v${(at * 7 + Math.floor(at / NODES)) % 100}`);
    return performance.now() - beganMs;
  });
}

function askCached(policy: MeshPolicy): number {
  policy.decideConnect('n1', 'v1');
  const beganMs = performance.now();
  for (let at = 0; at < CACHED_ASKED; at++) policy.decideConnect('n1', 'v1');
  return (performance.now() - beganMs) / CACHED_ASKED;
}

interface Redecided {
  readonly totalMs: number;
  /** The event loop stood still for no longer, by the clock: also when another process had the processor. */
  readonly longestMs: number;
  /** Of this thread's processor time, in one turn. */
  readonly longestWorkMs: number;
}

/** As in a node: all policies are others than before, and each stream is decided again. */
async function redecideAll(body: ReturnType<typeof bodyOf>): Promise<Redecided> {
  const evaluator = new CedarEvaluator();
  await warmUp(evaluator);
  const streams = liveStreams();
  const loaded = Promise.withResolvers<undefined>();
  const policy = new NodePolicy({
    evaluator,
    newId: () => randomBytes(16).toString('hex'),
    wallMs: () => WALL_MS,
    nowMs: () => performance.now(),
    nextTurn,
    standDown: () => undefined,
    onLoaded: () => loaded.resolve(undefined),
  });
  const sweep = new PolicySweep({ self: 'here', policy, open: () => streams, end: () => undefined });
  policy.handleSnapshot(body, 1);
  sweep.check(WALL_MS);
  while (sweep.isPending) sweep.handleTurn();
  const others = (body.policies ?? []).map(({ id, text }) => ({ id, text: text.replace('< 1', '< 11') }));
  const turns = new TurnWatch();
  policy.handleSnapshot({ ...body, policies: others }, 2);
  await loaded.promise;
  sweep.check(WALL_MS);
  while (sweep.isPending) {
    sweep.handleTurn();
    await nextTurn();
  }
  return turns.stop();
}

/** Notes how long the event loop stood still at most. */
class TurnWatch {
  readonly #beganMs = performance.now();
  #lastMs = performance.now();
  #lastWorkMs = workMs();
  #longestMs = 0;
  #longestWorkMs = 0;
  #isStopped = false;

  constructor() {
    this.#look();
  }

  stop(): Redecided {
    this.#isStopped = true;
    this.#note();
    const totalMs = performance.now() - this.#beganMs;
    return { totalMs, longestMs: this.#longestMs, longestWorkMs: this.#longestWorkMs };
  }

  #note(): void {
    const nowMs = performance.now();
    this.#longestMs = Math.max(this.#longestMs, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
    const nowWorkMs = workMs();
    this.#longestWorkMs = Math.max(this.#longestWorkMs, nowWorkMs - this.#lastWorkMs);
    this.#lastWorkMs = nowWorkMs;
  }

  #look(): void {
    this.#note();
    if (!this.#isStopped) setImmediate(() => this.#look());
  }
}

function workMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

/** All of different pairs: nothing of one decision serves the next. */
function liveStreams(): readonly ConduitHandle[] {
  return Array.from({ length: STREAMS }, (_, at) => {
    const handle = new ConduitHandle(at, 'in', `v${Math.floor(at / NODES)}`, 0, new Conduit(String(at), 0));
    handle.peer = `n${at % NODES}`;
    return handle;
  });
}

/** How many decisions come out differently when they are made again from their record, read as JSON, or explained as what they are not. */
function replayGenerated(): number {
  const evaluator = new CedarEvaluator();
  const elsewhere = new CedarEvaluator();
  let wrong = 0;
  const check = ({ body, caller, service, wallMs }: PolicyCase): void => {
    const policy = new MeshPolicy({ evaluator, newId: () => randomBytes(16).toString('hex'), wallMs: () => wallMs });
    policy.handleSnapshot(body, 1);
    const decision = policy.decideConnect(caller, service);
    const read = JSON.parse(JSON.stringify(decision)) as typeof decision;
    const again = replayDecision(read, elsewhere);
    const explained = explainDecision(read, elsewhere, policy.decider.index);
    const isSame = again.allowed === decision.allowed && again.policies.join() === decision.policies.join();
    if (!isSame || explained.allowed !== decision.allowed || (explained.remedy === null) !== decision.allowed) wrong++;
  };
  for (const each of fc.sample(policyCase, { numRuns: GENERATED_CASES, seed: 4 })) check(each);
  return wrong;
}

/** What the first decision adds to a process that runs as a node does. */
async function measureMemory(): Promise<Figure> {
  const script = `
    const { CedarEvaluator } = await import('#io/policy-cedar/cedar-evaluator.ts');
    const evaluator = new CedarEvaluator();
    const mib = () => { gc(); gc(); return process.memoryUsage.rss() / 2 ** 20; };
    const before = mib();
    const node = { type: 'Node', id: 'a' };
    const request = { principal: node, action: 'connect', resource: { type: 'Service', id: 's' }, context: {} };
    const policies = [{ id: 'p', text: 'permit(principal, action, resource);' }];
    for (let i = 0; i < 200; i++) evaluator.evaluate(policies, request, [{ ...node, attributes: {}, parents: [] }]);
    console.log(JSON.stringify([mib() - before]));`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [...PROGRAM_FLAGS, '--input-type=module', '--eval', script],
    { env: { ...process.env, ...PROGRAM_ENVIRONMENT } },
  );
  const [mib = Number.NaN] = JSON.parse(stdout) as readonly number[];
  return {
    name: 'memory of a node after its first decisions, more than before',
    value: mib,
    unit: 'MiB',
    samples: [mib],
  };
}
