/** Whole meshes of real processes with a fixed snapshot and no control plane, for benches and tests of the data path. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { PolicyText } from '#trust/policy/engine.ts';
import type { SnapshotBody, SnapshotForward, SnapshotService } from '#trust/snapshot.ts';
import { createTestCa, type TestCa } from '../fixtures/test-ca.ts';
import { PROGRAM_ENVIRONMENT, PROGRAM_FLAGS } from '../../bin/program-flags.js';
import type { StaticNodeConfig, StaticNodeQuestion, StaticNodeStatus } from './static-node.ts';

export interface StaticNodeSpec {
  readonly name: string;
  readonly relay: boolean;
  readonly links: readonly string[];
  /** Services that this node listens for on its own loopback: a free port each. */
  readonly forwards?: readonly string[];
  /** A command before the node's own, such as `ip netns exec NAME`. */
  readonly wrap?: readonly string[];
  readonly detector?: StaticNodeConfig['detector'];
  /** Where its links are accepted; 127.0.0.1 unless it lives in a namespace. */
  readonly host?: string;
}

export interface StaticMesh {
  readonly ca: TestCa;
  readonly snapshot: SnapshotBody;
  linkPort(node: string): number;
  readonly processes: ReadonlyMap<string, ChildProcess>;
  /** Starts a node that was killed again, with the identity and the ports that it had. */
  restart(node: string): Promise<void>;
  /** Port of a node's forward to a service. */
  port(node: string, service: string): number;
  status(node: string): Promise<StaticNodeStatus>;
  /** A node says from now on that it drains: others go round it where they can. */
  drain(node: string): Promise<void>;
  /** Gives a node a new certificate of this life. */
  renew(node: string, lifeMs: number): Promise<void>;
  /** When a node had no link to a peer any more: milliseconds of the system's monotonic clock. Waits for it. */
  gone(node: string, peer: string): Promise<number>;
  /** Opens a service so many times at a node; milliseconds from OPEN to ACCEPT of each. */
  opens(node: string, service: string, count: number): Promise<readonly number[]>;
  /** Opens each of these services at a node; milliseconds likewise. */
  opensOf(node: string, services: readonly string[]): Promise<readonly number[]>;
  /** Opens each of these services at a node and keeps them so; resolves to how many streams it has then. */
  hold(node: string, services: readonly string[]): Promise<number>;
  /** A node decides by these policies from now on; milliseconds until all its streams are decided again. */
  decideBy(node: string, policies: readonly PolicyText[]): Promise<number>;
  stop(): Promise<void>;
}

/** Starts one process a node and waits until each listens; links come up by themselves. */
export async function startStaticMesh(
  specs: readonly StaticNodeSpec[],
  services: readonly SnapshotService[],
  /** Members that the caller plays itself. */
  strangers: readonly StaticNodeSpec[] = [],
  /** Life of the first certificates; undefined: a day. */
  lifeMs?: number,
  /** By which the nodes decide; undefined: everything is allowed. */
  policies?: readonly PolicyText[],
): Promise<StaticMesh> {
  const ca = await createTestCa();
  const linkPorts = new Map<string, number>();
  for (const { name } of specs) linkPorts.set(name, await freePort());
  const forwards = new Map<string, SnapshotForward>();
  for (const spec of specs) {
    for (const service of spec.forwards ?? []) {
      forwards.set(`${spec.name}/${service}`, { node: spec.name, service, host: '127.0.0.1', port: await freePort() });
    }
  }
  const snapshot: SnapshotBody = {
    format: 2,
    ...(policies === undefined ? {} : { policies, policySchema: 1 }),
    trustDomain: ca.trustDomain,
    nodes: [...specs, ...strangers].map(({ name, relay, links, host }) => ({
      name,
      relay,
      links,
      addresses: linkPorts.has(name) ? [`${host ?? '127.0.0.1'}:${linkPorts.get(name) ?? 0}`] : [],
      labels: {},
    })),
    services,
    forwards: [...forwards.values()],
    revocations: [],
    issuers: [ca.issuerDer],
    roots: [ca.rootDer],
  };
  const processes = new Map<string, ChildProcess>();
  const starts = new Map<string, () => Promise<ChildProcess>>();
  for (const { name, relay, host, wrap, detector } of specs) {
    const { certPem, keyPem } = await ca.issue({ name, ...lastingFor(lifeMs) });
    const config: StaticNodeConfig = {
      name,
      trustDomain: ca.trustDomain,
      keyPem,
      certificatePem: certPem,
      issuerPems: [ca.issuerPem],
      relay,
      detector,
      linkHost: host ?? '127.0.0.1',
      linkPort: linkPorts.get(name) ?? 0,
      snapshot,
      forwards: snapshot.forwards.filter((forward) => forward.node === name),
    };
    const start = async (): Promise<ChildProcess> => startNode(config, wrap ?? []);
    starts.set(name, start);
    processes.set(name, await start());
  }
  return {
    ca,
    snapshot,
    linkPort: (node) => linkPorts.get(node) ?? 0,
    processes,
    restart: async (node) => {
      const start = starts.get(node);
      const old = processes.get(node);
      if (start === undefined || old === undefined) throw new Error(`no node ${node}`);
      await kill(old);
      processes.set(node, await start());
    },
    port: (node, service) => forwards.get(`${node}/${service}`)?.port ?? 0,
    status: async (node) => await ask(processes.get(node), { ask: 'status' }),
    drain: async (node) => {
      await ask(processes.get(node), { ask: 'drain' });
    },
    renew: async (node, newLifeMs) => {
      const { certPem, keyPem } = await ca.issue({ name: node, ...lastingFor(newLifeMs) });
      await ask(processes.get(node), { ask: 'renew', keyPem, certificatePem: certPem });
    },
    gone: async (node, peer) => await ask(processes.get(node), { ask: 'gone', peer }),
    opens: async (node, service, count) =>
      await ask(processes.get(node), { ask: 'opens', services: Array.from({ length: count }, () => service) }),
    opensOf: async (node, services) => await ask(processes.get(node), { ask: 'opens', services }),
    hold: async (node, services) => await ask(processes.get(node), { ask: 'hold', services }),
    decideBy: async (node, wanted) => await ask(processes.get(node), { ask: 'policies', policies: wanted }),
    stop: async () => {
      await Promise.all([...processes.values()].map(async (child) => await kill(child)));
    },
  };
}

function lastingFor(lifeMs: number | undefined): { readonly notAfterMs?: number } {
  return lifeMs === undefined ? {} : { notAfterMs: Date.now() + lifeMs };
}

async function startNode(config: StaticNodeConfig, wrap: readonly string[]): Promise<ChildProcess> {
  const profile = process.env['X0_PROFILE'] === config.name ? ['--cpu-prof', '--cpu-prof-dir=reports'] : [];
  const script = fileURLToPath(new URL('./static-node.ts', import.meta.url));
  const command = [...wrap, process.execPath, ...PROGRAM_FLAGS, ...profile, script];
  const child = spawn(command[0] ?? '', command.slice(1), {
    serialization: 'advanced',
    // Ends with its channel, and not when the group is interrupted, before anybody can clean up.
    detached: true,
    env: { ...process.env, ...PROGRAM_ENVIRONMENT },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  child.send(config);
  await once(child, 'message');
  return child;
}

let nextQuestion = 1;

/** Several may be asked at once: an answer carries the number of its question. */
async function ask<T>(child: ChildProcess | undefined, question: StaticNodeQuestion): Promise<T> {
  if (child === undefined) throw new Error('no such node');
  const id = nextQuestion++;
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const onMessage = (reply: { readonly id: number; readonly answer: T }): void => {
    if (reply.id === id) resolve(reply.answer);
  };
  const onExit = (): void => reject(new Error(`the node ended before it answered ${question.ask}`));
  child.on('message', onMessage).once('exit', onExit);
  child.send({ id, question });
  try {
    return await promise;
  } finally {
    child.off('message', onMessage).off('exit', onExit);
  }
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(process.env['X0_PROFILE'] === undefined ? 'SIGKILL' : 'SIGTERM');
  await once(child, 'exit');
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Instances of a service whose one target listens on loopback of `node`. */
export function targetAt(port: number, node = 'b'): SnapshotService['instances'] {
  return [{ node, host: '127.0.0.1', port, proxyProtocol: false }];
}

const PATH_TIMEOUT_MS = 10_000;
const POLL_MS = 20;

/** Waits until `from` knows a way to `to`. */
export async function awaitPath(mesh: StaticMesh, from: string, to: string): Promise<void> {
  const deadlineMs = performance.now() + PATH_TIMEOUT_MS;
  while (performance.now() < deadlineMs) {
    const { paths } = await mesh.status(from);
    if (paths[to]?.primary !== undefined) return;
    await pause(POLL_MS);
  }
  throw new Error(`${from} found no path to ${to}`);
}
