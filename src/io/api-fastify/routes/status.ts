import { status, version } from '#control/contract/status.ts';
import { type ApiContext, type ApiRoute, defineRoute, shared } from '../route.ts';

/** The mesh at a glance, and what answers here. */
export function statusRoutes(context: ApiContext): readonly ApiRoute[] {
  const { control, self, reads } = context;
  return [
    defineRoute({
      method: 'GET',
      path: '/status',
      schema: { summary: 'nodes, services and forwards, and the control plane itself', answers: { 200: status } },
      action: 'status:read',
      resource: shared('Status'),
      handle: async () => {
        const [nodes, services, forwards] = await Promise.all([
          reads.nodes.read(),
          reads.services.read(),
          reads.forwards.read(),
        ]);
        const header = control.publisher.current?.header;
        const issuedAt = header === undefined ? null : new Date(header.issuedAtMs).toISOString();
        const { epoch } = control.publisher.revocations;
        const snapshot = { version: header?.version ?? 0, issuedAt, revocationEpoch: epoch };
        return { nodes, services, forwards, control: { ...self(), snapshot } };
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/version',
      schema: { summary: 'what answers here', answers: { 200: version } },
      action: 'open',
      resource: shared('Status'),
      handle: async () => ({ name: 'x0tta6bl4', version: context.version, api: 'v1' }),
    }),
  ];
}
