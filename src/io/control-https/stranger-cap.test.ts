import { EventEmitter } from 'node:events';
import { createServer, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { addressBlock } from './address-block.ts';
import { MemberCap } from './member-cap.ts';
import { StrangerCap } from './stranger-cap.ts';

/** A connection of which only its two ends' names matter. */
class Wire extends Socket {
  override readonly remoteAddress: string;
  override readonly remotePort: number;

  constructor(address: string, port: number) {
    super();
    this.remoteAddress = address;
    this.remotePort = port;
  }
}

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:db8:0:1:2:3:4:5', '2001:db8:0:1::/64'],
  ['2001:DB8:0:1::9', '2001:db8:0:1::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['', ''],
])('%s counts as %s', (address, block) => {
  expect(addressBlock(address)).toBe(block);
});

describe('strangers', () => {
  const server = new EventEmitter();
  let cap: StrangerCap;
  let members: Set<Socket>;
  let port = 0;

  beforeEach(() => {
    vi.useFakeTimers();
    server.removeAllListeners();
    members = new Set();
    const isMember = (socket: TLSSocket): boolean => members.has(socket);
    cap = new StrangerCap(Object.assign(createServer(), { on: server.on.bind(server) }), isMember, () => Date.now());
  });
  afterEach(() => vi.useRealTimers());

  function comeFrom(address: string, count = 1): readonly Wire[] {
    const wires = Array.from({ length: count }, () => new Wire(address, ++port));
    for (const wire of wires) server.emit('connection', wire);
    return wires;
  }

  test('of one address keep to their share, the oldest gives way, and others come in', () => {
    const wires = comeFrom('192.0.2.1', 300);
    expect(cap.strangerCount).toBe(128);
    expect([wires[0]?.destroyed, wires.at(-1)?.destroyed]).toEqual([true, false]);
    const [other] = comeFrom('192.0.2.2');
    expect(other?.destroyed).toBe(false);
  });

  test('of one /64 are strangers of one address', () => {
    for (let host = 1; host <= 200; host++) comeFrom(`2001:db8::${host.toString(16)}`);
    expect(cap.strangerCount).toBe(128);
  });

  test('of many addresses give way to a newcomer, first those of whom there are most', () => {
    const [crowd] = comeFrom('192.0.2.1', 60);
    const [single] = comeFrom('198.51.100.1');
    for (let host = 0; host < 195; host++) comeFrom(`203.0.113.${host}`);
    expect(cap.strangerCount).toBe(256);
    const [newcomer] = comeFrom('192.0.2.9');
    expect([crowd?.destroyed, single?.destroyed, newcomer?.destroyed]).toEqual([true, false, false]);
  });

  test('that come too fast wait, their address alone', async () => {
    comeFrom('192.0.2.1', 512);
    expect(comeFrom('192.0.2.1')[0]?.destroyed).toBe(true);
    expect(comeFrom('192.0.2.2')[0]?.destroyed).toBe(false);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(comeFrom('192.0.2.1')[0]?.destroyed).toBe(false);
  });

  test('that do not shake hands are closed after 5 s, others 10 s after the handshake, members never', async () => {
    const [silent] = comeFrom('192.0.2.1');
    const [enrolling] = comeFrom('192.0.2.1');
    const [member] = comeFrom('192.0.2.1');
    if (member !== undefined) members.add(member);
    for (const wire of [enrolling, member]) server.emit('secureConnection', wire);
    await vi.advanceTimersByTimeAsync(5_000);
    expect([silent, enrolling, member].map((wire) => wire?.destroyed)).toEqual([true, false, false]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect([enrolling, member].map((wire) => wire?.destroyed)).toEqual([true, false]);
    expect(cap.strangerCount).toBe(0);
  });
});

test('a member has at most 16 connections, the newest', async () => {
  const cap = new MemberCap();
  const wires = Array.from({ length: 17 }, (_, index) => new Wire('192.0.2.1', index));
  for (const wire of wires) cap.handleConnection('spiffe://x0tta6bl4.mesh/node/oslo', wire);
  const other = new Wire('192.0.2.1', 99);
  cap.handleConnection('spiffe://x0tta6bl4.mesh/node/rome', other);
  expect(wires.map((wire) => wire.destroyed).indexOf(false)).toBe(1);
  expect([wires.filter((wire) => wire.destroyed).length, other.destroyed]).toEqual([1, false]);
});
