import { expect, test } from 'vitest';
import { CodedError } from '#control/coded-error.ts';
import { Counters } from '#kernel/counters.ts';
import { SessionLog } from './session-log.ts';

function make() {
  const lines: string[] = [];
  const counters = new Counters();
  const log = {
    info: (message: string) => void lines.push(message),
    warn: ({ code }: { readonly code: string }, message: string) => void lines.push(`${code} ${message}`),
  };
  return { lines, counters, session: new SessionLog(log, counters) };
}

test('what the session says is logged with its code, or as a loss', () => {
  const { lines, session } = make();
  session.handleState('up', undefined, 0);
  session.handleState('down', new CodedError('CERT_REVOKED', 'revoked'), 1);
  session.handleState('down', new Error('aborted'), 2);
  session.handleState('down', undefined, 3);
  expect(lines).toEqual([
    'connected to the control plane',
    'CERT_REVOKED revoked',
    'CONTROL_LOST aborted',
    'CONTROL_LOST the control plane is away',
  ]);
});

test('a doubled identity is logged once a minute, counted each time, and a problem until a minute after the last', () => {
  const { lines, counters, session } = make();
  const doubled = new CodedError('DOUBLED_IDENTITY', 'two');
  for (let nowMs = 0; nowMs <= 60_000; nowMs += 10_000) session.handleState('down', doubled, nowMs);
  expect(lines).toEqual(['DOUBLED_IDENTITY two', 'DOUBLED_IDENTITY two']);
  expect(counters.get('session-DOUBLED_IDENTITY')).toBe(7);
  expect(session.problems(119_999)).toEqual([{ code: 'DOUBLED_IDENTITY', message: 'two' }]);
  expect(session.problems(120_000)).toEqual([]);
});
