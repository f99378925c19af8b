import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { OtlpReceiver } from '../harness/otlp-receiver.ts';
import { portOf, UpMesh, until } from '../harness/up.ts';

// A whole mesh has to start, and spans are sent every five seconds.
vi.setConfig({ testTimeout: 60_000 });

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const run = promisify(execFile);
let receiver: OtlpReceiver;
let mesh: UpMesh;

beforeAll(async () => {
  receiver = await OtlpReceiver.open();
  vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', receiver.endpoint);
  mesh = await UpMesh.start();
}, 60_000);

afterAll(async () => {
  await mesh.stop();
  await receiver.close();
  vi.unstubAllEnvs();
});

test('a request that crosses nodes is one trace from its client’s to where it is served, and relays are none of it', async () => {
  const { listen } = await mesh.node('oslo');
  const header = `traceparent: 00-${TRACE}-${PARENT}-01`;
  const proxy = `http://127.0.0.1:${portOf(listen.http)}`;
  const { stdout } = await run('curl', ['-sS', '--proxy', proxy, '-H', header, 'http://hello.mesh/']);
  expect(stdout).toMatch(/^hello from lima/);
  const spans = await until(
    () => receiver.spans.filter(({ traceId }) => traceId === TRACE),
    (found) => found.length >= 2,
    15_000,
  );
  const client = spans.find(({ name }) => name === 'open hello');
  const server = spans.find(({ name }) => name === 'serve hello');
  expect(client).toMatchObject({ instance: 'oslo', parentSpanId: PARENT, attributes: { 'x0.peer': 'lima' } });
  expect(server).toMatchObject({ instance: 'lima', parentSpanId: client?.spanId, attributes: { 'x0.caller': 'oslo' } });
  expect(String(client?.attributes['x0.path'])).toMatch(/^\w+ .*lima$/);
  expect(spans).toHaveLength(2);
});

test('without a trace of the client’s one begins at the node that it asks', async () => {
  const { listen } = await mesh.node('oslo');
  await run('curl', ['-sS', '--proxy', `socks5h://127.0.0.1:${portOf(listen.socks)}`, 'http://hello.mesh/']);
  const roots = await until(
    () =>
      receiver.spans.filter(
        ({ name, parentSpanId, traceId }) => traceId !== TRACE && name === 'open hello' && !parentSpanId,
      ),
    (found) => found.length > 0,
    15_000,
  );
  const served = await until(
    () =>
      receiver.spans.filter(
        ({ traceId, parentSpanId }) => traceId === roots[0]?.traceId && parentSpanId === roots[0].spanId,
      ),
    (found) => found.length === 1,
    15_000,
  );
  expect(served).toMatchObject([{ name: 'serve hello', instance: 'lima' }]);
});

test('a request to the control plane is a span of its caller’s trace, whose id its errors name', async () => {
  const { control } = (await mesh.status()) as unknown as { control: { admin: string } };
  const trace = TRACE.replace('4b', '5c');
  const headers = { traceparent: `00-${trace}-${PARENT}-01` };
  const answer: unknown = await (await fetch(`http://${control.admin}/api/v1/status`, { headers })).json();
  expect(answer).toMatchObject({ error: { code: 'CREDENTIAL_WRONG', traceId: trace } });
  const [span] = await until(
    () => receiver.spans.filter(({ traceId }) => traceId === trace),
    (found) => found.length > 0,
    15_000,
  );
  expect(span).toMatchObject({
    service: 'x0-control',
    parentSpanId: PARENT,
    attributes: { 'http.route': '/api/v1/status' },
  });
});
