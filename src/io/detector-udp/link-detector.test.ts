import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { present } from '#kernel/assert.ts';
import { Counters } from '#kernel/counters.ts';
import type { TunnelCredentials } from '#io/tunnel-tls/credentials.ts';
import type { LinkMeasurement } from '#mesh/detector/link-quality.ts';
import { createTestCa } from '../../../tests/fixtures/test-ca.ts';
import { credentialsOf, dial, ListenerUnderTest, LOOPBACK, until } from '../../../tests/fixtures/tunnels.ts';
import { LinkDetector, type LinkWatch } from './link-detector.ts';

/** Slow enough for a machine that runs other tests beside. */
const PROFILE = { intervalMs: 150, multiplier: 4 };

/** One end of a watched link and what its detector said. */
class End {
  readonly counters = new Counters();
  readonly warnings: string[] = [];
  readonly workers: Worker[] = [];
  readonly measured: LinkMeasurement[] = [];
  silent: string | undefined;
  detector: LinkDetector | undefined;
  watch: LinkWatch | undefined;

  open(port: number | undefined): LinkDetector {
    this.detector = new LinkDetector({
      profile: PROFILE,
      listen: port === undefined ? undefined : { host: LOOPBACK, port },
      counters: this.counters,
      warn: (code) => this.warnings.push(code),
      newWorker: (url, options) => {
        const worker = new Worker(url, options);
        this.workers.push(worker);
        return worker;
      },
    });
    return this.detector;
  }

  readonly handlers = {
    handleSilent: (reason: string): void => {
      this.silent = reason;
    },
    handleMeasured: (measurement: LinkMeasurement): void => {
      this.measured.push(measurement);
    },
  };
}

/** The network between the two: UDP at the link port, passed on to where the acceptor really listens. */
class Wire {
  readonly outside = createSocket('udp4');
  readonly inside = createSocket('udp4');
  readonly seen: { readonly bytes: Buffer; readonly toAcceptor: boolean }[] = [];
  acceptorPort = 0;
  passes = (_toAcceptor: boolean): boolean => true;
  #dialler: RemoteInfo | undefined;
  #isClosed = false;

  async open(port: number): Promise<void> {
    await bound(this.outside, port);
    await bound(this.inside, 0);
    this.acceptorPort = await freeUdpPort();
    this.outside.on('message', (bytes, from) => {
      this.#dialler = from;
      this.seen.push({ bytes, toAcceptor: true });
      if (this.passes(true)) this.inside.send(bytes, this.acceptorPort, LOOPBACK);
    });
    this.inside.on('message', (bytes) => {
      this.seen.push({ bytes, toAcceptor: false });
      if (this.passes(false)) this.outside.send(bytes, this.#dialler?.port ?? 0, LOOPBACK);
    });
  }

  /** The acceptor takes its place. */
  bypass(port: number): void {
    this.close();
    this.acceptorPort = port;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.outside.close();
    this.inside.close();
  }

  last(toAcceptor: boolean): Buffer {
    return present(this.seen.findLast((each) => each.toAcceptor === toAcceptor)?.bytes, 'a probe was seen');
  }
}

async function bound(socket: Socket, port: number): Promise<void> {
  socket.bind(port, LOOPBACK);
  await once(socket, 'listening');
}

async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4');
  await bound(socket, 0);
  const { port } = socket.address();
  socket.close();
  return port;
}

let oslo: TunnelCredentials;
let rome: TunnelCredentials;
let listener: ListenerUnderTest;
let dialler: End;
let acceptor: End;
let wire: Wire;
const closers: (() => void)[] = [];

beforeAll(async () => {
  const ca = await createTestCa();
  oslo = credentialsOf(ca, 'oslo', await ca.issue({ name: 'oslo' }));
  rome = credentialsOf(ca, 'rome', await ca.issue({ name: 'rome' }));
});

beforeEach(async () => {
  listener = await new ListenerUnderTest(oslo).listen();
  wire = new Wire();
  await wire.open(listener.port);
  [dialler, acceptor] = [new End(), new End()];
});

afterEach(() => {
  for (const close of closers.splice(0)) close();
  for (const { detector } of [dialler, acceptor]) detector?.close();
  listener.close();
  wire.close();
});

/** A real link, watched from both ends. */
async function link(): Promise<void> {
  const { socket } = await dial(listener.address, rome, 'oslo');
  closers.push(() => socket.destroy());
  await until(() => listener.accepted.length > 0);
  const accepted = present(listener.accepted[0], 'the link was accepted').socket;
  dialler.watch = dialler.open(undefined).watch(socket, 'dialer', dialler.handlers);
  acceptor.watch = acceptor.open(wire.acceptorPort).watch(accepted, 'acceptor', acceptor.handlers);
}

async function established(): Promise<void> {
  await link();
  await until(() => dialler.watch?.detector === 'udp' && acceptor.watch?.detector === 'udp');
}

test('a link is watched by UDP from both ends, and measured', async () => {
  await established();
  await until(() => dialler.measured.length > 0 && acceptor.measured.length > 0);
  const { rttMs, lossRatio } = present(dialler.measured[0], 'measured');
  expect(rttMs).toBeGreaterThan(0);
  expect(rttMs).toBeLessThan(150);
  expect(lossRatio).toBeLessThan(0.5);
  expect([dialler.silent, acceptor.silent]).toEqual([undefined, undefined]);
});

test.each([true, false])('a loss in one direction takes both ends down (towards the acceptor: %s)', async (lost) => {
  await established();
  wire.passes = (toAcceptor) => toAcceptor !== lost;
  await until(() => dialler.silent !== undefined && acceptor.silent !== undefined);
  const [first, second] = lost ? [acceptor, dialler] : [dialler, acceptor];
  expect([first.silent, second.silent]).toEqual(['expired', 'neighbour-down']);
});

test('a detector that ends is missed', async () => {
  await established();
  acceptor.detector?.close();
  await until(() => dialler.silent !== undefined);
  expect(dialler.silent).toBe('expired');
  expect(dialler.watch?.detector).toBe('in-band');
});

test('where UDP is blocked a link is watched in band, and not ended', async () => {
  wire.passes = () => false;
  await link();
  await until(() => wire.seen.filter(({ toAcceptor }) => toAcceptor).length >= 8);
  expect([dialler.watch?.detector, acceptor.watch?.detector]).toEqual(['in-band', 'in-band']);
  expect([dialler.silent, acceptor.silent]).toEqual([undefined, undefined]);
});

test('replayed, reflected, forged, truncated and oversize datagrams from anywhere are counted, and answered by nothing', async () => {
  await established();
  const attacker = createSocket('udp4');
  await bound(attacker, 0);
  closers.push(() => attacker.close());
  let answers = 0;
  attacker.on('message', () => answers++);
  const probe = wire.last(true);
  const forged = Buffer.from(probe);
  forged[20] = (forged[20] ?? 0) ^ 1;
  const reflected = wire.last(false);
  for (const bytes of [probe, reflected, forged, probe.subarray(0, 63), Buffer.alloc(1_400), Buffer.alloc(0)])
    attacker.send(bytes, wire.acceptorPort, LOOPBACK);
  const refused = (): Record<string, number> =>
    Object.fromEntries(Object.entries(acceptor.counters.toJSON()).filter(([name]) => name.startsWith('probe-refused')));
  await until(() => Object.values(refused()).reduce((sum, count) => sum + count, 0) >= 6);
  expect(refused()).toEqual({
    'probe-refused-discriminator': 1,
    'probe-refused-forged': 1,
    'probe-refused-oversize': 1,
    'probe-refused-stale': 1,
    'probe-refused-truncated': 2,
  });
  const before = wire.seen.length;
  await until(() => wire.seen.length > before + 6);
  expect(answers).toBe(0);
  expect([dialler.silent, acceptor.silent]).toEqual([undefined, undefined]);
});

test('a thread that dies is replaced, and the link stays', async () => {
  await established();
  await until(() => dialler.measured.length > 0);
  // The link itself is alive meanwhile: a machine that is busy may take a second to start the next thread.
  const life = setInterval(() => acceptor.watch?.handleLife(performance.now()), 50);
  closers.push(() => clearInterval(life));
  await present(dialler.workers[0], 'a thread').terminate();
  await until(() => dialler.watch?.detector === 'in-band');
  await until(() => dialler.watch?.detector === 'udp');
  expect([dialler.silent, acceptor.silent]).toEqual([undefined, undefined]);
  expect(dialler.counters.get('detector-restart')).toBe(1);
  expect(dialler.workers).toHaveLength(2);
});

test('a main thread that hangs for longer than a second is not vouched for', async () => {
  // What lies between would hang with it.
  wire.bypass(listener.port);
  await established();
  const untilMs = performance.now() + 1_900;
  while (performance.now() < untilMs);
  await until(() => dialler.silent !== undefined && acceptor.silent !== undefined);
  expect([dialler.silent, acceptor.silent]).toContain('neighbour-hung');
});

test('a UDP port that is taken leaves accepted links to their PING, and says so', async () => {
  const other = createSocket('udp4');
  await bound(other, wire.acceptorPort);
  closers.push(() => other.close());
  await link();
  await until(() => acceptor.warnings.length > 0);
  expect(acceptor.warnings).toEqual(['DETECTOR_UNBOUND']);
  expect(acceptor.watch?.detector).toBe('in-band');
});
