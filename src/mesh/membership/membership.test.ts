import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '#kernel/random.ts';
import { mixFamilies } from '#mesh/membership/addresses.ts';
import { Membership, type Member, type MembershipOutput } from '#mesh/membership/membership.ts';

function member(name: string, fields: Partial<Member> = {}): Member {
  return { name, relay: true, addresses: [`${name}:7100`], links: null, ...fields };
}

function relays(count: number): Member[] {
  return Array.from({ length: count }, (_, i) => member(`r${String(i).padStart(3, '0')}`));
}

/** Milliseconds, the further the higher the relay's number. */
function distance(peer: string): number {
  return 1 + Number(peer.slice(1)) * 2;
}

/** One machine and the time. */
class Bench {
  readonly membership: Membership;
  nowMs = 0;

  constructor(self: Member, others: readonly Member[], seed = 1) {
    this.membership = new Membership({ random: new SeededRandom(seed) }, { name: self.name, relay: self.relay }, 0);
    this.members([self, ...others]);
  }

  members(members: readonly Member[]): void {
    this.membership.handleMembers(members, this.nowMs);
  }

  poll(): MembershipOutput[] {
    const outputs: MembershipOutput[] = [];
    for (let output = this.membership.poll(); output !== undefined; output = this.membership.poll())
      outputs.push(output);
    return outputs;
  }

  dials(): string[] {
    return this.poll().flatMap((output) => (output.kind === 'dial' ? [output.peer] : []));
  }

  closes(): string[] {
    return this.poll().flatMap((output) => (output.kind === 'close' ? [output.peer] : []));
  }

  wanted(): string[] {
    return this.membership
      .wanted()
      .map(({ peer }) => peer)
      .sort();
  }

  later(milliseconds: number): void {
    this.nowMs += milliseconds;
    this.membership.handleDeadline(this.nowMs);
  }

  up(peer: string, rttMs?: number): void {
    this.membership.handleLinkUp(peer, this.nowMs);
    if (rttMs !== undefined) this.membership.handleDistance(peer, rttMs);
  }

  down(peer: string): void {
    this.membership.handleLinkDown(peer, this.nowMs);
  }

  fail(peer: string): void {
    this.membership.handleDialFailed(peer, this.nowMs);
  }

  /** Runs for a time; every dial succeeds at once with the distance that `rttMs` gives, or fails where it gives none. */
  run(durationMs: number, rttMs: (peer: string) => number | undefined): void {
    const untilMs = this.nowMs + durationMs;
    for (;;) {
      for (const output of this.poll()) {
        if (output.kind === 'close') this.down(output.peer);
        else if (rttMs(output.peer) === undefined) this.fail(output.peer);
        else this.up(output.peer, rttMs(output.peer));
      }
      const nextMs = Math.max(this.nowMs + 1, Math.min(untilMs, this.membership.deadlineMs() ?? untilMs));
      if (this.nowMs >= untilMs) return;
      this.later(nextMs - this.nowMs);
    }
  }
}

describe('the plan', () => {
  test('joins all relays with each other up to 32', () => {
    const bench = new Bench(member('a'), [...relays(32), member('leaf', { relay: false })]);
    expect(bench.wanted()).toHaveLength(32);
    expect(bench.wanted()).not.toContain('leaf');
  });

  test('of a relay among many is the nearest and far ones, and makes one mesh', () => {
    const all = relays(100);
    const graph = new Map<string, string[]>();
    for (const self of all) {
      const bench = new Bench(
        self,
        all.filter(({ name }) => name !== self.name),
      );
      const links = bench.membership.wanted();
      expect(links.length).toBeLessThanOrEqual(40);
      graph.set(
        self.name,
        links.filter(({ reason }) => reason === 'far').map(({ peer }) => peer),
      );
    }
    for (const [name, peers] of graph) for (const peer of peers) expect(graph.get(peer)).toContain(name);
    const reached = new Set(['r000']);
    for (const name of reached) for (const peer of graph.get(name) ?? []) reached.add(peer);
    expect(reached.size).toBe(100);
  });

  test('of a node that does not relay is three relays, others for others', () => {
    const chosen = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) =>
      new Bench(member(name, { relay: false }), relays(20)).wanted(),
    );
    for (const names of chosen) expect(names).toHaveLength(3);
    expect(new Set(chosen.flat()).size).toBeGreaterThan(6);
    expect(new Bench(member('a', { relay: false }), relays(20)).wanted()).toEqual(chosen[0]);
  });

  test('has no relay that cannot be dialled among the nearest', () => {
    const bench = new Bench(member('a', { relay: false }), [member('hidden', { addresses: [] }), ...relays(2)]);
    expect(bench.wanted()).toEqual(['r000', 'r001']);
  });

  test('of a fixed topology is what either side lists', () => {
    const others = [member('b'), member('c', { links: ['a'] }), member('d'), member('e', { links: ['b'] })];
    const bench = new Bench(member('a', { links: ['b', 'gone'] }), others);
    expect(bench.wanted()).toEqual(['b', 'c']);
    for (const [peer, accepted] of [
      ['b', true],
      ['c', true],
      ['d', false],
      ['e', false],
      ['a', false],
      ['gone', false],
    ] as const) {
      expect(bench.membership.accepts(peer)).toBe(accepted);
    }
  });

  test('leaves a node with fixed links alone unless it is listed', () => {
    const bench = new Bench(member('a'), [member('b'), member('c', { links: ['b'] })]);
    expect(bench.wanted()).toEqual(['b']);
    expect(bench.membership.accepts('c')).toBe(false);
    expect(bench.membership.accepts('b')).toBe(true);
  });
});

describe('the nearest relays', () => {
  test('are found one trial at a time, and kept', () => {
    const bench = new Bench(member('z', { relay: false }), relays(12));
    bench.run(15 * 60_000, distance);
    expect(bench.wanted().filter((peer) => ['r000', 'r001', 'r002'].includes(peer))).toHaveLength(3);
    const before = bench.wanted();
    for (let i = 0; i < 20; i++) {
      bench.run(30_000, distance);
      expect(bench.wanted()).toEqual(before);
    }
  });

  test('do not change for a little', () => {
    const bench = new Bench(member('z', { relay: false }), relays(4));
    bench.run(10 * 60_000, (peer) => 10 + Number(peer.slice(1)) / 10);
    const before = bench.wanted();
    bench.run(10 * 60_000, (peer) => 10 - Number(peer.slice(1)) / 10);
    expect(bench.wanted().filter((peer) => before.includes(peer))).toHaveLength(3);
  });

  test('are replaced within seconds when they do not answer', () => {
    const bench = new Bench(member('z', { relay: false }), relays(10));
    const away = bench.wanted().slice(0, 2);
    bench.run(3000, (peer) => (away.includes(peer) ? undefined : 1));
    const up = bench.membership.wanted().filter(({ state }) => state === 'up');
    expect(up).toHaveLength(3);
    bench.run(120_000, (peer) => (away.includes(peer) ? undefined : 1));
    expect(bench.membership.wanted().filter(({ state }) => state === 'up').length).toBeGreaterThanOrEqual(3);
    expect(bench.membership.wanted().length).toBeLessThanOrEqual(4);
  });

  test('stay the best of a bad lot when all are away', () => {
    const bench = new Bench(member('z', { relay: false }), relays(10));
    bench.run(600_000, () => undefined);
    expect(bench.wanted().length).toBeGreaterThanOrEqual(3);
    expect(bench.wanted().length).toBeLessThanOrEqual(6);
    bench.run(60_000, () => 1);
    expect(bench.membership.wanted().filter(({ state }) => state === 'up').length).toBeGreaterThanOrEqual(3);
  });
});

describe('dialling', () => {
  test("is the lower name's task where both have an address", () => {
    const bench = new Bench(member('m'), [member('a'), member('z')]);
    expect(bench.dials()).toEqual(['z']);
    expect(bench.membership.wanted().map(({ peer, state }) => [peer, state])).toEqual([
      ['a', 'expected'],
      ['z', 'dialling'],
    ]);
  });

  test('is done by the higher name when the lower one is not heard of', () => {
    const bench = new Bench(member('m'), [member('a')]);
    expect(bench.dials()).toEqual([]);
    bench.later(1000);
    expect(bench.dials()).toEqual(['a']);
  });

  test('is done by the side without an address, and never to it', () => {
    const hidden = new Bench(member('z', { addresses: [] }), [member('a')]);
    expect(hidden.dials()).toEqual(['a']);
    const open = new Bench(member('a'), [member('z', { addresses: [] })]);
    open.later(60_000);
    expect(open.dials()).toEqual([]);
  });

  test('is done by the node whose nearest relay it is', () => {
    const bench = new Bench(member('z', { relay: false }), [member('a'), member('b')]);
    expect(bench.dials().sort()).toEqual(['a', 'b']);
  });

  test('is tried again within a quarter of a second, then ever more rarely, for ever, at most 30 seconds apart', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const bench = new Bench(member('a'), [member('b')], seed);
        const delays: number[] = [];
        for (let i = 0; i < 60; i++) {
          expect(bench.dials()).toEqual(['b']);
          bench.fail('b');
          const failedMs = bench.nowMs;
          for (;;) {
            const dueMs = bench.membership.deadlineMs() ?? Number.NaN;
            expect(dueMs).toBeGreaterThan(bench.nowMs);
            bench.later(dueMs - bench.nowMs);
            const isDue =
              bench.membership.deadlineMs() === bench.nowMs || (bench.membership.deadlineMs() ?? 0) < bench.nowMs;
            if (isDue) break;
          }
          delays.push(bench.nowMs - failedMs);
        }
        expect(delays[0]).toBeLessThanOrEqual(250);
        expect(Math.max(...delays)).toBeLessThanOrEqual(30_000);
        expect(Math.max(...delays.slice(8))).toBeGreaterThan(15_000);
      }),
      { numRuns: 20 },
    );
  });

  test('tries several addresses in turn, families mixed', () => {
    expect(mixFamilies(['a:1', 'b:1', '[::1]:1', '[::2]:1', 'c:1'])).toEqual([
      'a:1',
      '[::1]:1',
      'b:1',
      '[::2]:1',
      'c:1',
    ]);
    expect(mixFamilies([])).toEqual([]);
    const bench = new Bench(member('a'), [member('b', { addresses: ['h:1', 'i:1', '[::1]:1'] })]);
    const tried: string[] = [];
    for (let i = 0; i < 4; i++) {
      for (const output of bench.poll()) if (output.kind === 'dial') tried.push(output.address);
      bench.fail('b');
      bench.later(250);
    }
    expect(tried).toEqual(['h:1', '[::1]:1', 'i:1', 'h:1']);
  });

  test('begins at once with new addresses', () => {
    const bench = new Bench(member('a'), [member('b')]);
    for (let i = 0; i < 12; i++) {
      bench.dials();
      bench.fail('b');
      bench.later(30_000);
    }
    bench.dials();
    bench.fail('b');
    bench.members([member('a'), member('b', { addresses: ['moved:1'] })]);
    expect(bench.poll()).toEqual([{ kind: 'dial', peer: 'b', address: 'moved:1' }]);
  });

  test('after a lost link is quick, unless the link never lasts', () => {
    const bench = new Bench(member('a'), [member('b')]);
    expect(bench.dials()).toEqual(['b']);
    bench.up('b');
    bench.later(10_000);
    bench.down('b');
    bench.later(250);
    expect(bench.dials()).toEqual(['b']);
    let dials = 0;
    for (let i = 0; i < 600; i++) {
      if (bench.membership.wanted()[0]?.state === 'dialling') bench.up('b');
      bench.down('b');
      bench.later(100);
      dials += bench.dials().length;
    }
    expect(dials).toBeLessThan(25);
  });

  test('happens for sixteen peers at a time', () => {
    const bench = new Bench(member('a'), relays(30));
    const first = bench.dials();
    expect(first).toHaveLength(16);
    for (const peer of first) bench.up(peer);
    expect(bench.dials()).toHaveLength(14);
  });

  test('that is never answered is given up and begun again', () => {
    const bench = new Bench(member('a'), [member('b')]);
    expect(bench.dials()).toEqual(['b']);
    bench.later(30_000);
    expect(bench.closes()).toEqual(['b']);
    bench.later(250);
    expect(bench.dials()).toEqual(['b']);
  });
});

describe('a link', () => {
  test('is closed once when its peer leaves the snapshot', () => {
    const bench = new Bench(member('a'), [member('b'), member('c')]);
    bench.dials();
    bench.up('b');
    bench.up('c');
    bench.members([member('a'), member('c')]);
    expect(bench.closes()).toEqual(['b']);
    bench.later(60_000);
    expect(bench.closes()).toEqual([]);
    bench.down('b');
    bench.later(60_000);
    expect(bench.poll()).toEqual([]);
    expect(bench.membership.accepts('b')).toBe(false);
  });

  test('is closed when a fixed topology no longer lists it', () => {
    const bench = new Bench(member('a'), [member('b'), member('c')]);
    bench.dials();
    bench.up('b');
    bench.up('c');
    bench.members([member('a', { links: ['c'] }), member('b'), member('c')]);
    expect(bench.closes()).toEqual(['b']);
  });

  test('that the other side wanted stays', () => {
    const bench = new Bench(member('a'), [member('leaf', { relay: false })]);
    expect(bench.wanted()).toEqual([]);
    bench.up('leaf');
    bench.later(600_000);
    expect(bench.poll()).toEqual([]);
    bench.down('leaf');
    bench.later(600_000);
    expect(bench.poll()).toEqual([]);
  });

  test('being dialled is given up when its peer leaves', () => {
    const bench = new Bench(member('a'), [member('b')]);
    expect(bench.dials()).toEqual(['b']);
    bench.members([member('a')]);
    expect(bench.closes()).toEqual(['b']);
    bench.fail('b');
    bench.later(60_000);
    expect(bench.poll()).toEqual([]);
  });

  test('never stops being sought under random events, and nothing unwanted is dialled', () => {
    const event = fc.record({
      kind: fc.constantFrom('up', 'down', 'fail', 'later', 'members'),
      peer: fc.nat(5),
      value: fc.nat(5000),
    });
    fc.assert(
      fc.property(fc.boolean(), fc.array(event, { maxLength: 80 }), (relay, events) => {
        const all = relays(6);
        const self = member('m', { relay });
        const bench = new Bench(self, all);
        for (const { kind, peer, value } of events) {
          const name = all[peer]?.name ?? '';
          if (kind === 'up' && bench.membership.accepts(name)) bench.up(name, value);
          else if (kind === 'down') bench.down(name);
          else if (kind === 'fail') bench.fail(name);
          else if (kind === 'later') bench.later(value);
          else if (kind === 'members') bench.members([self, ...all.filter((_, i) => (value >> i) & 1)]);
          for (const output of bench.poll()) {
            expect(output.kind === 'close' || bench.wanted().includes(output.peer)).toBe(true);
            if (output.kind === 'close') bench.down(output.peer);
          }
        }
        bench.members([self, ...all]);
        bench.run(120_000, () => 1);
        const up = bench.membership.wanted().filter(({ state }) => state === 'up');
        expect(up.length).toBeGreaterThanOrEqual(relay ? 6 : 3);
      }),
      { numRuns: 300 },
    );
  });
});

describe('streams to another node', () => {
  const self = member('m', { relay: false, addresses: [] });
  const far = member('n', { relay: false });

  test('make a direct link worth trying, until they have been gone for two minutes', () => {
    const bench = new Bench(self, [far]);
    expect(bench.dials()).toEqual([]);
    bench.membership.handleTraffic('n', bench.nowMs);
    expect(bench.dials()).toEqual(['n']);
    bench.up('n', 1);
    bench.later(60_000);
    bench.membership.handleTraffic('n', bench.nowMs);
    bench.later(119_000);
    expect(bench.closes()).toEqual([]);
    bench.later(2_000);
    expect(bench.closes()).toEqual(['n']);
  });

  test('make none where a topology is fixed, no address is known, or the node is no member', () => {
    const bench = new Bench(self, [
      member('n', { relay: false, links: ['x'] }),
      member('o', { addresses: [], relay: false }),
    ]);
    for (const name of ['n', 'o', 'stranger', 'm']) bench.membership.handleTraffic(name, bench.nowMs);
    expect(bench.dials()).toEqual([]);
  });

  test('make at most thirty-two', () => {
    const crowd = Array.from({ length: 40 }, (_, i) => member(`n${i}`, { relay: false }));
    const bench = new Bench(self, crowd);
    for (const { name } of crowd) bench.membership.handleTraffic(name, bench.nowMs);
    expect(bench.wanted()).toHaveLength(32);
  });
});
