import { describe, expect, test } from 'vitest';
import { present } from '#kernel/assert.ts';
import { encodeConduitAttach, encodeConduitOpen } from '#mesh/conduit/conduit-open.ts';
import { encodeAck, encodeFrame, encodeOpen, encodeReason, FrameType, StreamKind } from '#mesh/mux/frame.ts';
import { NodeNet } from '#mesh/node/node-net.ts';
import type { ConduitHandle } from '#mesh/node/conduit-handle.ts';
import type { LocalStream } from '#mesh/node/tunnel.ts';
import {
  connect,
  cutRelay,
  DIAMOND,
  handleOf,
  payload,
  relayOf,
  sha256,
  startDiamond,
  write,
} from '../../../tests/fixtures/diamond-net.ts';

/** Frames that end-b reads as if end-a had sent them on the tunnel of its conduit. */
function forge(net: NodeNet, far: ConduitHandle, ...frames: readonly Uint8Array[]): void {
  const tunnel = present(far.tunnel, 'a tunnel');
  for (const frame of frames) net.at('end-b').node.handleTunnelBytes(tunnel, frame, net.nowMs);
}

/** An id for a stream that end-a, which dialled, would open next on the tunnel. */
function nextId(far: ConduitHandle): number {
  return present(far.stream, 'a stream').id + 2_000;
}

function resets(net: NodeNet, at: string, stream: LocalStream): readonly string[] {
  return net
    .at(at)
    .of('reset')
    .filter((output) => output.stream === stream)
    .map(({ reason }) => reason.code);
}

describe('a conduit of a member that breaks the rules', () => {
  test('that ended its direction and sends more on another stream: not a byte of it reaches the application', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    write(net, 'end-a', near, payload(1_000));
    net.run(100);
    net.at('end-a').node.streams.finish(near, net.nowMs);
    net.run(100);
    const id = nextId(far);
    const attach = encodeConduitAttach({ id: near.conduit.id, attempt: 9, received: 0, fin: false });
    forge(net, far, encodeFrame(FrameType.open, id, encodeOpen(StreamKind.attach, 65_536, attach)));
    expect(far.stream?.id).toBe(id);
    forge(net, far, encodeFrame(FrameType.data, id, payload(50, 2)));
    expect(net.at('end-b').node.counters.get('tunnel-ended-DATA_AFTER_FIN')).toBe(1);
    expect(net.at('end-b').got(far)).toEqual(payload(1_000));
  });

  test('opened again under the id of one to another service: refused, and the first goes on', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    const { id, incarnation } = near.conduit;
    const open = encodeConduitOpen({ id, attempt: 9, incarnation, service: 'other' });
    forge(net, far, encodeFrame(FrameType.open, nextId(far), encodeOpen(StreamKind.conduit, 65_536, open)));
    expect(net.at('end-b').node.counters.get('stream-refused-OPEN_MALFORMED')).toBe(1);
    expect(net.at('end-b').of('incoming')).toHaveLength(1);
    write(net, 'end-a', near, payload(100));
    net.run(100);
    expect(net.at('end-b').got(far)).toEqual(payload(100));
  });

  test('attached anew a thousand times at once: one stream is left, the last, and no byte is lost or repeated', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    write(net, 'end-b', far, payload(3_000));
    net.run(100);
    expect(near.conduit.position.received).toBe(3_000);
    const first = nextId(far);
    for (let i = 0; i < 1_000; i++) {
      const body = encodeConduitAttach({ id: near.conduit.id, attempt: 10 + i, received: 3_000, fin: false });
      forge(net, far, encodeFrame(FrameType.open, first + 2 * i, encodeOpen(StreamKind.attach, 65_536, body)));
    }
    expect(far.stream?.id).toBe(first + 2 * 999);
    const live = [...present(far.tunnel, 'a tunnel').mux.streams()].filter(({ owner }) => owner === far);
    expect(live).toHaveLength(1);
    expect(far.moves.length).toBeLessThanOrEqual(16);
    expect(net.at('end-b').got(far).byteLength).toBe(0);
  });

  test('with offsets, attempts and versions that no encoder makes: refused by name', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    const id = [...Uint8Array.fromHex(near.conduit.id)];
    const attach = (...rest: readonly number[]): Uint8Array => Uint8Array.of(0x95, 1, 0xc4, 16, ...id, ...rest);
    const hostile: readonly Uint8Array[] = [
      attach(9, 0xff, 0xc2), // received -1
      attach(0xff, 0, 0xc2), // attempt -1
      attach(9, 0xcb, 0x3f, 0xe0, 0, 0, 0, 0, 0, 0, 0xc2), // received 0.5
      attach(9, 0xcf, 0, 0x20, 0, 0, 0, 0, 0, 0, 0xc2), // received 2^53
      attach(9, 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc2),
      attach(0xce, 0xff, 0xff, 0xff, 0xff, 0, 0xc2), // attempt 2^32 - 1
      attach(9, 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0, 0xc2), // NaN
      attach(9, 0, 1), // fin is no boolean
      Uint8Array.of(),
    ];
    for (const [index, body] of hostile.entries()) {
      const stream = nextId(far) + 2 * index;
      forge(net, far, encodeFrame(FrameType.open, stream, encodeOpen(StreamKind.attach, 65_536, body)));
    }
    expect(net.at('end-b').node.counters.get('stream-refused-OPEN_MALFORMED')).toBe(hostile.length);
    write(net, 'end-a', near, payload(100));
    net.run(100);
    expect(net.at('end-b').got(far)).toEqual(payload(100));
  });

  test.each([
    ['backwards', { received: 100, fin: false, done: false }, 'ACK_BEYOND_SENT'],
    ['flagged as ended, which it is not', { received: 1_000, fin: true, done: false }, 'ACK_BEYOND_SENT'],
    ['beyond', { received: 2 ** 53 - 1, fin: false, done: true }, 'ACK_BEYOND_SENT'],
  ])('that acknowledges %s: its tunnel ends by name, the stream goes on', (_what, ack, code) => {
    const net = startDiamond();
    const { near, far } = connect(net);
    write(net, 'end-b', far, payload(1_000));
    net.run(1_000);
    forge(net, far, encodeFrame(FrameType.ack, present(far.stream, 'a stream').id, encodeAck(ack)));
    net.run(2_000);
    expect(net.at('end-b').node.counters.get(`tunnel-ended-${code}`)).toBe(1);
    write(net, 'end-b', far, payload(500, 2));
    net.run(500);
    expect(net.at('end-a').got(near).byteLength).toBe(1_500);
  });

  test('acknowledgements on a stream that is no conduit end the tunnel by name', () => {
    const net = startDiamond();
    const { near } = connect(net);
    const link = present(
      net
        .at(relayOf(near))
        .node.tunnels()
        .find(({ peer, via }) => via === 'tcp' && peer.name === 'end-a'),
      'a link',
    );
    const circuit = present(
      [...link.mux.streams()].find(({ owner }) => owner?.kind === 'relay'),
      'a circuit',
    );
    const ack = encodeFrame(FrameType.ack, circuit.id, encodeAck({ received: 0, fin: false, done: false }));
    net.at(relayOf(near)).node.handleTunnelBytes(link, ack, net.nowMs);
    expect(link.state).toBe('closed');
  });
});

describe('an opener that gives up', () => {
  test('while the target is being dialled leaves nothing behind', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    const { incarnation } = near.conduit;
    const open = encodeConduitOpen({ id: '7'.repeat(32), attempt: 1, incarnation, service: 'other' });
    const id = nextId(far);
    forge(net, far, encodeFrame(FrameType.open, id, encodeOpen(StreamKind.conduit, 65_536, open)));
    // The driver has not even been asked for the target.
    forge(net, far, encodeFrame(FrameType.reset, id, encodeReason({ code: 'STREAM_ABORTED' })));
    net.run(100);
    expect(net.at('end-b').of('incoming').at(-1)?.stream.state).toBe('closed');
    expect(net.at('end-b').node.streams.list()).toEqual([far]);
  });

  test('is remembered for 15 s, and not as long as one that might ask', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    const { incarnation } = near.conduit;
    const open = encodeConduitOpen({ id: '7'.repeat(32), attempt: 1, incarnation, service: 'other' });
    const offer = (id: number): void =>
      forge(net, far, encodeFrame(FrameType.open, id, encodeOpen(StreamKind.conduit, 65_536, open)));
    const id = nextId(far);
    offer(id);
    forge(net, far, encodeFrame(FrameType.reset, id, encodeReason({ code: 'STREAM_ABORTED' })));
    offer(id + 2);
    const { counters } = net.at('end-b').node;
    expect(counters.get('stream-refused-STREAM_ABORTED')).toBe(1);
    net.run(16_000);
    offer(nextId(far));
    expect(counters.get('stream-refused-STREAM_ABORTED')).toBe(1);
  });

  test('by dying: its targets are told within 61 s', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    write(net, 'end-a', near, payload(100));
    net.run(100);
    net.at('end-a').isAway = true;
    for (const relay of ['r1', 'r2']) net.cut('end-a', relay);
    net.run(55_000);
    expect(far.state).toBe('open');
    net.run(16_000);
    expect(far.state).toBe('closed');
    expect(resets(net, 'end-b', far)).toEqual(['CONDUIT_LOST']);
  });
});

describe('in the middle of a move', () => {
  test.each(['end-a', 'end-b'])('%s ends its direction: both get every byte and the end', (finisher) => {
    const net = startDiamond();
    const { near, far } = connect(net);
    const [up, down] = [payload(300_000, 1), payload(300_000, 2)];
    write(net, 'end-a', near, up);
    write(net, 'end-b', far, down);
    net.run(3);
    cutRelay(net, relayOf(near));
    net.at(finisher).node.streams.finish(finisher === 'end-a' ? near : far, net.nowMs);
    net.run(2_000);
    expect(net.at('end-b').got(far)).toEqual(up);
    expect(net.at('end-a').got(near)).toEqual(down);
    const [other, stream] = finisher === 'end-a' ? ['end-b', far] : ['end-a', near];
    expect(
      net
        .at(other)
        .of('end')
        .some((output) => output.stream === stream),
    ).toBe(true);
    expect(stream.state).toBe('open');
  });

  test('the target aborts: the opener hears the reason, and nothing is left at either end', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    write(net, 'end-a', near, payload(300_000));
    net.run(3);
    cutRelay(net, relayOf(near));
    net.at('end-b').node.streams.reset(far, { code: 'STREAM_ABORTED' });
    net.run(3_000);
    expect(resets(net, 'end-a', near)).toEqual(['STREAM_ABORTED']);
    expect([...net.at('end-a').node.streams.list(), ...net.at('end-b').node.streams.list()]).toEqual([]);
  });
});

describe('a wall clock that is set', () => {
  test.each([10, -10])('by %i minutes ends no stream and no link', (minutes) => {
    let stepMs = 0;
    class SteppedNet extends NodeNet {
      override get wallMs(): number {
        return super.wallMs + stepMs;
      }
    }
    const net = new SteppedNet(DIAMOND, sha256);
    net.converge();
    const { near, far } = connect(net);
    const up = payload(2_000_000);
    write(net, 'end-a', near, up.subarray(0, 1_000_000));
    net.run(3);
    stepMs = minutes * 60_000;
    net.run(5_000);
    write(net, 'end-a', near, up.subarray(1_000_000));
    net.run(15_000);
    expect(net.at('end-b').got(far)).toEqual(up);
    expect([near.state, far.state, near.moveCount]).toEqual(['open', 'open', 0]);
    for (const name of ['end-a', 'end-b', 'r1', 'r2']) expect(net.at(name).node.counters.get('link-down')).toBe(0);
    expect(handleOf(net.open('end-a', 'hello')).state).toBe('open');
  });
});
