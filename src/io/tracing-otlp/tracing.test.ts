import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NO_TRACING, openTracing, parseTraceparent, type TracingOptions } from '#io/tracing-otlp/tracing.ts';
import { OtlpReceiver } from '../../../tests/harness/otlp-receiver.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = `00-${TRACE}-00f067aa0ba902b7-01`;
let receiver: OtlpReceiver;
let warnings: string[];

beforeEach(async () => {
  receiver = await OtlpReceiver.open();
  warnings = [];
});
afterEach(async () => receiver.close());

function optionsOf(extra: Partial<TracingOptions> = {}): TracingOptions {
  return {
    endpoint: receiver.endpoint,
    service: 'x0-node',
    instance: 'oslo',
    ratio: 1,
    warn: (message) => void warnings.push(message),
    ...extra,
  };
}

describe('traces', () => {
  test('a span and what is done on its behalf arrive as one trace', async () => {
    const tracing = await openTracing(optionsOf());
    const outer = tracing.begin('stream hello', 'client', PARENT);
    const inner = tracing.begin('serve hello', 'server', outer.traceparent);
    inner.end({ 'x0.service': 'hello', 'x0.received_bytes': 7 }, 'POLICY_DENIED');
    outer.end({});
    await tracing.close();
    const [first, second] = receiver.spans;
    expect(first).toMatchObject({
      traceId: TRACE,
      parentSpanId: second?.spanId,
      name: 'serve hello',
      service: 'x0-node',
      instance: 'oslo',
      attributes: { 'x0.service': 'hello', 'x0.received_bytes': 7 },
      status: { message: 'POLICY_DENIED' },
    });
    expect(second).toMatchObject({ traceId: TRACE, parentSpanId: '00f067aa0ba902b7', name: 'stream hello' });
  });

  test('what began elsewhere and is not kept there is not kept here, and is told on', async () => {
    const tracing = await openTracing(optionsOf());
    const span = tracing.begin('stream hello', 'client', PARENT.replace(/01$/, '00'));
    expect(span.traceparent).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`));
    span.end({});
    await tracing.close();
    expect(receiver.spans).toEqual([]);
  });

  test('a receiver that is away is told once, and nothing waits for it', async () => {
    const tracing = await openTracing(optionsOf({ endpoint: 'http://127.0.0.1:1' }));
    tracing.begin('stream hello', 'client', undefined).end({});
    await tracing.close();
    tracing.begin('stream hello', 'client', undefined).end({});
    expect(warnings.length).toBeLessThanOrEqual(1);
  });

  test('without tracing a good parent passes through, and nothing else does', () => {
    expect(NO_TRACING.begin('stream hello', 'client', PARENT).traceparent).toBe(PARENT);
    for (const text of [
      undefined,
      '',
      'ff',
      `${PARENT}-x`,
      PARENT.toUpperCase(),
      `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
    ])
      expect(NO_TRACING.begin('stream hello', 'client', text).traceparent).toBeUndefined();
  });

  test('reads the flags of a parent', () => {
    expect(parseTraceparent(PARENT)).toEqual({ traceId: TRACE, spanId: '00f067aa0ba902b7', traceFlags: 1 });
  });
});
