import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { NodeReport } from '#control/report.ts';
import { AdminClient } from '#io/admin-client-http/admin-client.ts';
import { ControlSession } from '#io/control-client/control-session.ts';
import { joinMesh } from '#io/control-client/join.ts';
import { SnapshotKeeper } from '#io/control-client/snapshot-keeper.ts';
import type { StoredIdentity } from '#io/files-node/identity-files.ts';
import { CLONE, X0Process } from '../../tests/harness/x0-process.ts';
import type { Scenario } from '../lib/figure.ts';

const NODES = Number(process.env['CONTROL_NODES'] ?? 1_000);
/** As many as may be strangers of one address at once, with room. */
const JOINS_AT_ONCE = 50;
const BAR_MEBIBYTES = 250;
/** How long fifty sessions may take to open before the next are begun. */
const BATCH_MS = 3_000;
const SETTLE_MS = 30_000;
const GIVE_UP_MS = 300_000;
const LISTENERS = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--allow-members'];

/** A fleet that was admitted, holds its sessions and reports every second, as real nodes do; only the nodes' processes are not there. */
export const controlMemory: Scenario = {
  name: 'control-memory',
  about: `the control plane with the state of ${NODES} nodes, each with a session, a service and a report a second`,
  run: async () => {
    const folder = mkdtempSync(join(tmpdir(), 'x0-bench-control-'));
    const dataDir = join(folder, 'control');
    const control = new X0Process(CLONE, ['control', '--data-dir', dataDir, ...LISTENERS]);
    const sessions: ControlSession[] = [];
    try {
      await control.says(/the control plane is ready/);
      const client = new AdminClient(dataDir);
      const { pid } = (await client.ask('GET', '/status'))['control'] as { pid: number };
      const emptyMebibytes = readResident(pid);
      const identities = await admitAll(client, folder);
      for (let first = 0; first < identities.length; first += JOINS_AT_ONCE) {
        const opened = identities.slice(first, first + JOINS_AT_ONCE).map((identity) => openSession(identity));
        sessions.push(...opened.map(({ session }) => session));
        // Who is not up by then goes on trying.
        await Promise.race([Promise.all(opened.map(async ({ isUp }) => isUp)), pause(BATCH_MS)]);
      }
      await pause(SETTLE_MS);
      const { nodes } = (await client.ask('GET', '/status')) as unknown as { nodes: readonly { state: string }[] };
      const up = nodes.filter(({ state }) => state === 'up').length;
      const mebibytes = readResident(pid);
      return [
        { name: 'resident memory, no node yet', value: emptyMebibytes, unit: 'MiB', samples: [emptyMebibytes] },
        {
          name: `resident memory, ${nodes.length} nodes`,
          value: mebibytes,
          unit: 'MiB',
          samples: [mebibytes],
          bar: { kind: 'at most', value: BAR_MEBIBYTES },
          note: `${up} of them up by session and report`,
        },
      ];
    } finally {
      await Promise.all(sessions.map(async (session) => session.close()));
      await control.end('SIGTERM');
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function admitAll(client: AdminClient, folder: string): Promise<readonly StoredIdentity[]> {
  const signal = AbortSignal.timeout(GIVE_UP_MS);
  const identities: StoredIdentity[] = [];
  for (let first = 0; first < NODES; first += JOINS_AT_ONCE) {
    const batch = Array.from({ length: Math.min(JOINS_AT_ONCE, NODES - first) }, async (_, index) => {
      const node = `node-${first + index}`;
      const labels = { site: `site-${index % 10}`, team: 'ops' };
      const token = String((await client.ask('POST', '/tokens', { node, labels }))['token']);
      const rest = { addresses: [`10.0.0.1:${7_000 + index}`], controlAddress: undefined, onRetry: () => undefined };
      const identity = await joinMesh({ token, dataDir: join(folder, node), signal, ...rest });
      await client.ask('PUT', `/services/service-${first + index}/instances/${node}`, { host: '127.0.0.1', port: 80 });
      return identity;
    });
    identities.push(...(await Promise.all(batch)));
  }
  return identities;
}

function openSession(identity: StoredIdentity): { readonly session: ControlSession; readonly isUp: Promise<void> } {
  const { trustDomain, issuers, roots, controlAddresses, certificate, keys } = identity;
  const isUp = Promise.withResolvers<void>();
  const session = new ControlSession({
    addresses: controlAddresses,
    trustDomain,
    roots,
    keeper: new SnapshotKeeper({ trustDomain, issuers, roots, wallMs: Date.now, onBelieved: () => undefined }),
    credentials: () => ({ certificateDer: certificate.der, privateKey: keys.privateKey }),
    report: () => REPORT,
    onRequest: async () => ({}),
    onState: (state) => (state === 'up' ? isUp.resolve() : undefined),
  });
  session.start();
  return { session, isUp: isUp.promise };
}

/** What a relay of a small mesh says: eight neighbours, some sixty counters. */
const REPORT: NodeReport = {
  pid: 4_711,
  incarnation: Date.now(),
  relay: true,
  listen: { link: '10.0.0.1:7000', socks: '127.0.0.1:1080', http: '127.0.0.1:8081', admin: '127.0.0.1:7201' },
  addresses: ['10.0.0.1:7000'],
  peers: Array.from({ length: 8 }, (_, index) => ({
    name: `node-${index}`,
    state: 'up',
    rttMs: 0.31,
    detector: 'udp',
    group: 'X25519MLKEM768',
    signature: 'ml-dsa-65',
    notAfter: '2026-11-24T00:00:00.000Z',
  })),
  counters: Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`counter-of-a-usual-length-${index}`, index])),
  problems: [],
  drain: null,
};

function readResident(pid: number): number {
  const kilobytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kilobytes === undefined) throw new Error(`process ${pid} tells no VmRSS`);
  return Number(kilobytes) / 1_024;
}
