import { TargetPolicy } from '#io/target-policy/target-policy.ts';
import { check, type FuzzTarget, textOf, utf8 } from '../fuzz-target.ts';

/** A pattern is read or refused by RangeError; a host that is asked for is pinned to an address or refused, never more. */
export const targetPattern: FuzzTarget = {
  name: 'target-pattern',
  corpus: () =>
    ['127.0.0.0/8:*', '[::1]:5432', 'db.example:5432', '[2001:db8::/32]:80', '*:443'].map((text) => utf8(text)),
  async run(input) {
    const text = textOf(input);
    const host = text.slice(0, Math.max(0, text.lastIndexOf(':')));
    const loopback = new TargetPolicy({
      patterns: [],
      ownPorts: () => [7_101],
      resolve: () => Promise.resolve(['192.0.2.9']),
    });
    const pinned = await loopback.pin(host.replaceAll(/[[\]]/g, ''), 5_432);
    check(!pinned.ok || pinned.value.host.startsWith('127.') || pinned.value.host === '::1', 'loopback only');
    try {
      const policy = new TargetPolicy({ patterns: [text], ownPorts: () => [], resolve: () => Promise.resolve([]) });
      await policy.pin(host, 80);
      return true;
    } catch (error) {
      if (error instanceof RangeError) return false;
      throw error;
    }
  },
};
