import { afterEach, describe, expect, test } from 'vitest';
import { parseNodeReport } from '#control/report.ts';
import { plainReport, startTestControl, type TestControl } from '../fixtures/test-control.ts';

const FORBID = { text: 'forbid(principal, action, resource);' };
let control: TestControl | undefined;
afterEach(async () => {
  await control?.stop();
  control = undefined;
});

describe('the control plane’s policies', () => {
  test('are none at first, and in production stay without the one for trying out', async () => {
    control = await startTestControl({ production: true });
    expect((await control.ask('GET', '/api/v1/policies')).body).toMatchObject({ policies: [] });
    const refused = await control.ask('PUT', '/api/v1/policies/local-allow-members', FORBID);
    expect([refused.status, refused.body]).toMatchObject([403, { error: { code: 'POLICY_NOT_FOR_PRODUCTION' } }]);
  });

  test('are not put there again once an operator deleted them', async () => {
    control = await startTestControl();
    expect((await control.ask('DELETE', '/api/v1/policies/local-allow-members')).status).toBe(204);
    expect((await control.ask('GET', '/api/v1/policies/local-allow-members')).status).toBe(404);
  });

  test('are not replaced by who has seen another version', async () => {
    control = await startTestControl();
    const put = async (expectedVersion: number) =>
      control?.ask('PUT', '/api/v1/policies/web', { ...FORBID, expectedVersion });
    expect([(await put(1))?.status, (await put(0))?.status, (await put(0))?.status]).toEqual([409, 200, 409]);
  });

  test('that are no policies are refused with their place', async () => {
    control = await startTestControl();
    const text = 'permit(principal,\n action, resource) when { 1 };;';
    const refused = await control.ask('PUT', '/api/v1/policies/web', { text });
    expect([refused.status, refused.body]).toMatchObject([422, { error: { code: 'POLICY_SYNTAX' } }]);
    const large = await control.ask('PUT', '/api/v1/policies/web', { text: ' '.repeat(20_000) });
    expect([large.status, large.body]).toMatchObject([422, { error: { code: 'POLICY_TOO_LARGE' } }]);
  });

  test('of an unknown decision or node know nothing', async () => {
    control = await startTestControl();
    const decision = await control.ask('GET', `/api/v1/decisions/${'0'.repeat(32)}`);
    const node = await control.ask('GET', '/api/v1/decisions?caller=nobody&service=web');
    expect([decision.status, node.status]).toEqual([404, 404]);
  });
});

test('a node that reports labels or groups of its own has none by that', () => {
  const report = parseNodeReport({ ...plainReport(), labels: { env: 'prod' }, groups: ['members'] });
  expect(report).toBeDefined();
  expect(report).not.toHaveProperty('labels');
  expect(report).not.toHaveProperty('groups');
});
