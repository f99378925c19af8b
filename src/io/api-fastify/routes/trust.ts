import { hash } from 'node:crypto';
import { ACTION_NAMES, ACTIONS, type ActionRule } from '#control/contract/actions.ts';
import { pageQuery } from '#control/contract/common.ts';
import { authorities, revocationList, roleList, snapshotState } from '#control/contract/trust.ts';
import { CodedError } from '#control/coded-error.ts';
import { USER_ROLES } from '#control/principal.ts';
import type { PublishedSnapshot } from '#control/snapshot-publisher.ts';
import { decodeSnapshotBody, type SnapshotBody } from '#trust/snapshot.ts';
import { pageOf } from '../page.ts';
import { type ApiContext, type ApiRoute, defineRoute, shared } from '../route.ts';

/** What nodes are told to believe, and who may do what here. */
export function trustRoutes({ control }: ApiContext): readonly ApiRoute[] {
  const latest = (): Believed => believedOf(control.publisher.current);
  return [
    defineRoute({
      method: 'GET',
      path: '/snapshot',
      schema: {
        summary: 'the snapshot that was signed last, to be checked by anybody',
        answers: { 200: snapshotState },
      },
      action: 'status:read',
      resource: shared('Snapshot'),
      handle: async () => describeSnapshot(latest()),
    }),
    defineRoute({
      method: 'GET',
      path: '/revocations',
      schema: {
        summary: 'revoked certificates that have not expired',
        query: pageQuery,
        answers: { 200: revocationList },
      },
      action: 'certificates:read',
      resource: shared('Certificate'),
      handle: async ({ query }) => {
        const { page, nextCursor } = pageOf(latest().content.revocations, ({ serial }) => serial, query);
        return { revocations: page, nextCursor };
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/authorities',
      schema: { summary: 'the roots, and the issuers that nodes believe', answers: { 200: authorities } },
      action: 'certificates:read',
      resource: shared('Certificate'),
      handle: async () => {
        const { trustDomain, roots, issuers } = latest().content;
        return { trustDomain, roots: roots.map(describeAuthority), issuers: issuers.map(describeAuthority) };
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/roles',
      schema: { summary: 'which role may do what', answers: { 200: roleList } },
      action: 'status:read',
      resource: shared('Status'),
      handle: async () => ({ roles: USER_ROLES.map((role) => describeRole(role)) }),
    }),
  ];
}

interface Believed {
  readonly snapshot: PublishedSnapshot;
  readonly content: SnapshotBody;
}

function believedOf(snapshot: PublishedSnapshot | undefined): Believed {
  if (snapshot === undefined) throw new CodedError('NOT_FOUND', 'nothing was signed yet');
  const content = decodeSnapshotBody(snapshot.body);
  if (!content.ok) throw new CodedError('INTERNAL', 'the snapshot that was signed last cannot be read');
  return { snapshot, content: content.value };
}

function describeSnapshot({ snapshot: { header, body }, content }: Believed): unknown {
  const { nodes, services, forwards, policies = [], revocations, format } = content;
  return {
    version: header.version,
    issuedAt: new Date(header.issuedAtMs).toISOString(),
    format,
    bodySha256: header.bodyHash.toHex(),
    signerSha256: header.signerHash.toHex(),
    signature: header.signature.toBase64(),
    body: body.toBase64(),
    holds: {
      nodes: nodes.length,
      services: services.length,
      forwards: forwards.length,
      policies: policies.length,
      revocations: revocations.length,
    },
  };
}

function describeAuthority(der: Uint8Array): { readonly sha256: string; readonly certificate: string } {
  return { sha256: hash('sha256', der, 'hex'), certificate: der.toBase64() };
}

function describeRole(role: (typeof USER_ROLES)[number]): unknown {
  const any = ACTION_NAMES.filter((action) => ruleOf(action).any.includes(role));
  const own = ACTION_NAMES.filter((action) => !any.includes(action) && ruleOf(action).own.includes(role));
  return { role, any, own };
}

function ruleOf(action: (typeof ACTION_NAMES)[number]): ActionRule {
  return ACTIONS[action];
}
