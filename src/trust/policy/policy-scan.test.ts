import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { scanStatement } from '#trust/policy/policy-scan.ts';

const ROME = { type: 'Node', id: 'rome' };
const WEB = { type: 'Service', id: 'web' };

function usesTime(body: string): boolean {
  return scanStatement(`permit(principal, action, resource) when { ${body} };`).usesTime;
}

describe('the outside of a statement', () => {
  test('says its effect, and one entity or all that is in one', () => {
    const text = 'permit(principal == X0::Node::"rome", action, resource in X0::Service::"web");';
    expect(scanStatement(text)).toMatchObject({
      effect: 'permit',
      principal: { op: 'is', entity: ROME },
      resource: { op: 'in', entity: WEB },
    });
    expect(scanStatement(text.replace('permit', 'forbid')).effect).toBe('forbid');
  });

  test.each([
    ['a bare word', 'principal'],
    ['a type', 'principal is X0::Node'],
    ['a type in a group', 'principal is X0::Node in X0::Group::"members"'],
    ['another namespace', 'principal == Y0::Node::"rome"'],
    ['an escaped id', String.raw`principal == X0::Node::"ro\u{6d}e"`],
    ['a list', 'principal in [X0::Group::"a", X0::Group::"b"]'],
  ])('says whoever for %s', (_what, head) => {
    expect(scanStatement(`permit(${head}, action, resource);`).principal).toBeUndefined();
  });

  test('is not moved by brackets and words in annotations, texts, lists and comments', () => {
    const text = `@note("permit(principal == X0::Node::\\"x\\", action, resource);") @permit("no") // forbid(
      permit(principal == X0::Node::"rome", // , action
        action in [X0::Action::"connect", X0::Action::"other"], resource == X0::Service::"web");`;
    expect(scanStatement(text)).toMatchObject({
      effect: 'permit',
      principal: { entity: ROME },
      resource: { entity: WEB },
    });
  });

  test('may change with the minute where time is named in any way, and not where it is not', () => {
    expect(usesTime('context.minuteOfDay < 5')).toBe(true);
    expect(usesTime('principal["posture"]["lastSeenMinutes"] < 5')).toBe(true);
    expect(usesTime(String.raw`principal["posture"]["last\u{53}eenMinutes"] < 5`)).toBe(true);
    expect(usesTime('principal.posture.os == "linux"')).toBe(false);
    expect(usesTime('// context\nprincipal.relay')).toBe(false);
  });

  test('names the entities of its conditions, and not those of its head', () => {
    const text = 'permit(principal == X0::Node::"rome", action, resource) when { X0::Node::"oslo".relay };';
    expect(scanStatement(text).literals).toEqual([{ type: 'Node', id: 'oslo' }]);
  });

  test('notices ids with escapes wherever they are', () => {
    expect(
      scanStatement(String.raw`permit(principal, action, resource) when { X0::Node::"\n".relay };`).hasEscapedId,
    ).toBe(true);
    expect(
      scanStatement(String.raw`permit(principal, action, resource) when { context.weekday == "\n" };`).hasEscapedId,
    ).toBe(false);
  });

  test('counts brackets of all kinds, and `if`, which nest', () => {
    expect(scanStatement('permit(principal, action, resource);').depth).toBe(1);
    expect(scanStatement('permit(principal, action, resource) when { [(1)] == {a: 1} };').depth).toBe(3);
    expect(scanStatement('permit(principal, action, resource) when { if if true then 1 };').depth).toBe(3);
  });

  test('is read of whatever text, without end or failure', () => {
    const pieces = fc.constantFrom(
      'permit(',
      'principal',
      ',',
      ')',
      '"',
      '\\',
      '//',
      '\n',
      '@',
      '[',
      'X0::',
      'é',
      '😀',
      ';',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(pieces, fc.string()), { maxLength: 40 }), (parts) => {
        const text = parts.join('');
        const { tokens, depth } = scanStatement(text);
        expect(tokens).toBeLessThanOrEqual(text.length);
        expect(depth).toBeLessThanOrEqual(tokens);
      }),
      { numRuns: 500 },
    );
  });
});
