import { encode } from '@msgpack/msgpack';
import { describe, expect, test } from 'vitest';
import { START_WALL_MS } from '#mesh/linkstate/fake-network.ts';
import { MAX_AGE_MS, MAX_SEQUENCE } from '#mesh/linkstate/limits.ts';
import { encodeMessage, type Message } from '#mesh/linkstate/messages.ts';
import { Bench, chain, makeRecord, patched } from '../../../tests/fixtures/linkstate-bench.ts';

describe('a record', () => {
  test('is not passed on before its certificate is known and its signature checked', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.giveRecord('left', makeRecord(far));
    expect(bench.knows('far')).toBe(false);
    expect(bench.asked('left')).toEqual([far.hash.toHex()]);
    expect(bench.records('right')).toEqual([]);
    bench.giveCertificate('left', far);
    expect(bench.knows('far')).toBe(true);
    expect(bench.records('right')).toEqual(['far']);
    expect(bench.records('left')).toEqual([]);
  });

  test('keeps what a newer version wrote into it, byte for byte', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    const body = encode({
      neighbours: [['x', 5, 'more']],
      relay: true,
      draining: false,
      issuedAt: START_WALL_MS,
      future: { deep: [1, 'two'] },
    });
    bench.introduce('left', far, { body });
    const passedOn = bench.sent.find(({ peer, message }) => peer === 'right' && message.kind === 'record');
    expect(passedOn?.message).toEqual({ kind: 'record', record: makeRecord(far, { body }) });
  });

  test('is kept although the buffer it came in is used again', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    const record = makeRecord(far);
    const messages: Message[] = [
      { kind: 'record', record },
      { kind: 'certificate', der: far.der },
    ];
    for (const message of messages) {
      const buffer = Buffer.from(encodeMessage(message));
      bench.giveBytes('left', buffer);
      buffer.fill(0);
    }
    bench.give('left', { kind: 'request', origins: ['far'] });
    bench.give('left', { kind: 'certificate-request', hashes: [far.hash.toHex()] });
    const sent = bench.sent.filter(({ peer }) => peer === 'left').map(({ message }) => message);
    for (const message of messages) expect(sent).toContainEqual(message);
  });

  test('that comes twice costs one signature check', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.introduce('left', far);
    const { verifications } = bench.network.authority;
    bench.giveRecord('right', makeRecord(far));
    bench.giveRecord('left', makeRecord(far));
    expect(bench.network.authority.verifications).toBe(verifications);
    expect(bench.count('record-duplicate')).toBe(2);
  });

  test('older than the stored one is answered with the newer one', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.introduce('left', far, { sequence: 7 });
    bench.sent.length = 0;
    bench.giveRecord('left', makeRecord(far, { sequence: 6 }));
    expect(bench.version('far')).toEqual([1, 7]);
    expect(bench.count('record-stale')).toBe(1);
    expect(bench.records('left')).toEqual(['far']);
  });

  test('of a later life counts although its sequence is lower', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.introduce('left', far, { incarnation: 5, sequence: 900 });
    bench.giveRecord('left', makeRecord(far, { incarnation: 6, sequence: 1 }));
    expect(bench.version('far')).toEqual([6, 1]);
  });

  test('dies with its certificate', () => {
    const bench = new Bench();
    bench.introduce('left', bench.issue('far', START_WALL_MS + 60_000));
    bench.later(59_000);
    expect(bench.knows('far')).toBe(true);
    bench.later(1000);
    expect(bench.knows('far')).toBe(false);
    expect(bench.count('record-expired')).toBe(1);
  });

  test('that nobody refreshes is forgotten, and its replay refused', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.introduce('left', far);
    bench.later(MAX_AGE_MS);
    expect(bench.knows('far')).toBe(false);
    bench.introduce('left', far);
    expect(bench.knows('far')).toBe(false);
  });

  test('of its own is refreshed long before others forget it', () => {
    const network = chain('a', 'b');
    network.run(3 * MAX_AGE_MS, 60_000);
    expect(network.node('a').path('b').primary?.hops).toEqual(['b']);
    expect(network.node('a').counters.get('record-expired')).toBe(0);
  });

  test('follows its certificate when that is renewed', () => {
    const network = chain('a', 'b');
    network.run(200);
    network.identities.set('b', network.authority.issue('b'));
    network.node('b').handleTrustChanged(network.nowMs, network.wallMs, false);
    network.run(200);
    const stored = network
      .node('a')
      .records()
      .find(({ origin }) => origin === 'b');
    expect(stored?.certificateHash).toBe(network.identity('b').hash.toHex());
  });

  test('is dropped when its certificate is revoked, and does not come back', () => {
    const network = chain('a', 'b', 'c');
    network.run(200);
    network.authority.revoked.add(network.identity('c').hash.toHex());
    network.node('a').handleTrustChanged(network.nowMs, network.wallMs, false);
    network.run(30_000);
    expect(network.node('a').path('c').primary).toBeUndefined();
    expect(network.node('a').counters.get('record-revoked')).toBe(1);
  });

  test('is dropped when its issuer is no longer trusted, and comes back with the trust', () => {
    const network = chain('a', 'b', 'c');
    network.run(200);
    network.authority.distrusted.add(network.identity('c').hash.toHex());
    network.node('a').handleTrustChanged(network.nowMs, network.wallMs);
    expect(network.node('a').graph().has('c')).toBe(false);
    network.run(15_000);
    expect(network.node('a').graph().has('c')).toBe(false);
    network.authority.distrusted.clear();
    network.node('a').handleTrustChanged(network.nowMs, network.wallMs);
    network.run(15_000);
    expect(network.node('a').path('c').primary?.hops).toEqual(['b', 'c']);
  });
});

describe('its own record', () => {
  test('of an earlier life is outdone at once', () => {
    const network = chain('a', 'b');
    network.run(200);
    network.unlink('a', 'b');
    for (let i = 0; i < 5; i++)
      network.node('a').setLocal({ relay: i % 2 === 1, draining: false }, network.nowMs, network.wallMs);
    network.restart('a', { incarnation: 1 });
    network.link('a', 'b');
    network.run(1000);
    expect(network.node('b').path('a').primary?.hops).toEqual(['a']);
    expect(network.node('a').counters.get('alarm-doubled-identity')).toBe(0);
  });

  test('is never taken from somebody without its key', () => {
    const bench = new Bench();
    const thief = bench.issue('thief');
    const [incarnation = 0, sequence = 0] = bench.version('home');
    bench.introduce('left', thief, { origin: 'home', incarnation: incarnation + 1, sequence });
    expect(bench.version('home')).toEqual([incarnation, sequence]);
    expect(bench.count('record-certificate-of-another')).toBe(1);
    expect(bench.count('record-own-contested')).toBe(0);
  });

  test('made by another process raises an alarm, and is outdone at a bounded rate', () => {
    const bench = new Bench();
    const twin = bench.network.identity('home');
    for (let i = 0; i < 600; i++) {
      const [incarnation = 0, sequence = 0] = bench.version('home');
      bench.giveRecord('left', makeRecord(twin, { incarnation, sequence: sequence + 1, relay: false }));
      bench.later(100);
    }
    expect(bench.alarms).toEqual(['DOUBLED_IDENTITY']);
    expect(bench.count('record-originated')).toBeLessThan(25);
    expect(bench.home.graph().transit('home')).toBe(true);
  });

  test('at the last sequence goes on in a new incarnation, with an alarm', () => {
    const bench = new Bench();
    const [incarnation = 0] = bench.version('home');
    bench.giveRecord('left', makeRecord(bench.network.identity('home'), { incarnation, sequence: MAX_SEQUENCE }));
    bench.later(100);
    expect(bench.version('home')).toEqual([incarnation + 1, 1]);
    expect(bench.alarms).toEqual(['SEQUENCE_EXHAUSTED']);
  });

  test('is made at a bounded rate however often its links flap', () => {
    const bench = new Bench();
    for (let i = 0; i < 1000; i++) {
      bench.home.handleLinkUp('flapper', bench.nowMs, bench.wallMs, 1);
      bench.later(5);
      bench.home.handleLinkDown('flapper', bench.nowMs, bench.wallMs);
      bench.later(5);
    }
    expect(bench.count('record-originated')).toBeLessThan(45);
    bench.later(1000);
    expect(bench.home.records()[0]?.neighbours.map(({ name }) => name)).toEqual(['left', 'right']);
  });
});

describe('LSA poisoning (security checklist 11)', () => {
  test('a forged link: nobody signs for another', () => {
    const bench = new Bench();
    const victim = bench.issue('victim');
    const record = makeRecord(victim, { neighbours: [['left', 5]] });
    bench.introduce('right', victim);
    bench.giveRecord('left', patched(record, -1, 7));
    expect(bench.count('record-stale') + bench.count('record-bad-signature') + bench.count('record-duplicate')).toBe(1);
    expect(bench.home.graph().links('victim').size).toBe(0);
  });

  test('a one-sided link does not count', () => {
    const bench = new Bench();
    bench.introduce('left', bench.issue('left'), {
      neighbours: [
        ['home', 5],
        ['bank', 1],
      ],
    });
    bench.introduce('right', bench.issue('right'), {
      neighbours: [
        ['home', 5],
        ['bank', 500],
      ],
    });
    bench.introduce('right', bench.issue('bank'), { neighbours: [['right', 500]] });
    expect(bench.home.path('bank').primary?.hops).toEqual(['right', 'bank']);
  });

  test('cost 0 is refused', () => {
    const bench = new Bench();
    bench.introduce('left', bench.issue('left'), { neighbours: [['home', 0]] });
    expect(bench.knows('left')).toBe(false);
  });

  test('a sequence at the maximum locks nobody out: the origin goes on above it', () => {
    const network = chain('a', 'b');
    network.run(200);
    const record = makeRecord(network.identity('a'), {
      sequence: MAX_SEQUENCE,
      relay: false,
      issuedAtMs: network.wallMs,
    });
    network.node('b').handleMessage('a', encodeMessage({ kind: 'record', record }), network.nowMs, network.wallMs);
    network.run(12_000);
    expect(network.node('b').graph().transit('a')).toBe(true);
    expect(network.node('b').path('a').primary?.hops).toEqual(['a']);
  });

  test('a replayed old record changes nothing', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.introduce('left', far, { sequence: 1, relay: false });
    bench.giveRecord('left', makeRecord(far, { sequence: 2, relay: true }));
    bench.giveRecord('right', makeRecord(far, { sequence: 1, relay: false }));
    expect(bench.home.graph().transit('far')).toBe(true);
  });

  test("a third party cannot purge: there is no purge, and an old age needs the origin's signature", () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.introduce('left', far);
    bench.introduce('right', bench.issue('mallory'), {
      origin: 'far',
      sequence: 2,
      issuedAtMs: START_WALL_MS - MAX_AGE_MS,
    });
    expect(bench.knows('far')).toBe(true);
  });
});
