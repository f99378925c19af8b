import { concatBytes } from '#kernel/bytes.ts';
import { Counters } from '#kernel/counters.ts';
import {
  encodeCredit,
  encodeFrame,
  encodeHello,
  encodeOpen,
  encodePing,
  FrameType,
  type Hello,
  NO_TUNNEL_ID,
  StreamKind,
} from '#mesh/mux/frame.ts';
import { Mux } from '#mesh/mux/mux.ts';
import { WindowPool } from '#mesh/mux/window-pool.ts';
import { check, type FuzzTarget } from '../fuzz-target.ts';

const HELLO: Hello = {
  version: 1,
  oldestVersion: 1,
  incarnation: 1,
  features: 0,
  tunnelId: new Uint8Array(16),
  replaces: NO_TUNNEL_ID,
};
const LIMIT_BYTES = 1_048_576;
const MAX_STREAMS = 8;
/** A circuit that the machine itself opens. */
const OWN_STREAMS = 1;
/** One header: an OPEN is accepted before what follows it is read. */
const TURN_BYTES = 8;

function open(id: number): Uint8Array {
  return encodeFrame(FrameType.open, id, encodeOpen(StreamKind.stream, 65_536, new Uint8Array(4)));
}

/** A peer that was let in may send anything: the machine stays within its limits and gives all back at the end. */
export const mux: FuzzTarget = {
  name: 'mux',
  corpus: () => {
    const greeting = encodeFrame(FrameType.hello, 0, encodeHello(HELLO));
    const data = encodeFrame(FrameType.data, 1, new Uint8Array(100));
    const credit = encodeFrame(FrameType.credit, 1, encodeCredit(1_000));
    const fin = encodeFrame(FrameType.fin, 1, new Uint8Array());
    return [
      greeting,
      concatBytes([greeting, ...Array.from({ length: 2 * MAX_STREAMS }, (_, index) => open(2 * index + 1))]),
      concatBytes([greeting, open(1), data, credit, fin, encodeFrame(FrameType.ping, 0, encodePing(1))]),
      concatBytes([greeting, open(1), open(3), encodeFrame(FrameType.reset, 3, Uint8Array.of(65)), data]),
      concatBytes([
        greeting,
        encodeFrame(FrameType.accept, 2, new Uint8Array(4)),
        encodeFrame(FrameType.drain, 2, Uint8Array.of(65)),
      ]),
      concatBytes([greeting, encodeFrame(FrameType.goaway, 0, Uint8Array.of(65)), open(1)]),
    ];
  },
  run(input) {
    const pool = new WindowPool(LIMIT_BYTES);
    const counters = new Counters();
    const machine = new Mux<string>(
      {
        role: 'acceptor',
        hello: HELLO,
        windows: pool.windowsOf('peer'),
        maxPeerStreams: MAX_STREAMS,
        opensPerSecond: 1_000,
        counters,
      },
      0,
    );
    let hasFailed = false;
    for (let at = 0; at < input.byteLength; at += TURN_BYTES) {
      machine.handleBytes(input.subarray(at, at + TURN_BYTES), at);
      hasFailed = drain(machine, at) || hasFailed;
      check(machine.streamCount <= MAX_STREAMS + OWN_STREAMS && pool.reservedBytes <= LIMIT_BYTES, 'within its limits');
      transmit(machine, at);
    }
    machine.close();
    check(pool.reservedBytes === 0 && machine.streamCount === 0, 'gives all back');
    check(Object.keys(counters.toJSON()).length <= 4, 'counters are few');
    return !hasFailed;
  },
};

function drain(machine: Mux<string>, nowMs: number): boolean {
  let hasFailed = false;
  for (let event = machine.poll(); event !== undefined; event = machine.poll()) {
    if (event.kind === 'failed') hasFailed = true;
    if (event.kind === 'up') machine.open(StreamKind.circuit, new Uint8Array(), 'own', 'local');
    if (event.kind === 'opened') {
      machine.accept(event.stream);
      machine.send(event.stream, new Uint8Array(100), nowMs);
    }
    if (event.kind === 'data') machine.consume(event.stream, event.bytes.byteLength, nowMs);
    if (event.kind === 'fin') machine.finish(event.stream, nowMs);
  }
  return hasFailed;
}

function transmit(machine: Mux<string>, nowMs: number): void {
  let sentBytes = 0;
  for (let piece = machine.pollTransmit(nowMs); piece !== undefined; piece = machine.pollTransmit(nowMs)) {
    sentBytes += piece.byteLength;
    check(sentBytes < LIMIT_BYTES, 'answers are in proportion');
  }
}
