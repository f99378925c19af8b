import { CodedError } from '#control/coded-error.ts';
import { codeOf } from '#kernel/code-of.ts';
import type { AdminClient } from '#io/admin-client-http/admin-client.ts';
import { segment } from './context.ts';
import { objectsOf, textOf } from './table.ts';

const NAME_LIMIT_CHARS = 63;
/** What a label may be, or `members`; neither quotes nor backslashes. */
const GROUP = /^[A-Za-z0-9][A-Za-z0-9._/=-]{0,255}$/;

/** Writes the policy `expose-SERVICE-GROUP`; its name. */
export async function allowGroup(client: AdminClient, service: string, group: string): Promise<string> {
  if (!GROUP.test(group)) throw new CodedError('USAGE', `--allow ${group}: write members, or a label like env=prod`);
  const name = policyName(service, group);
  const text = policyText(service, group);
  const known = await findText(client, name);
  if (known !== undefined && known !== text)
    throw new CodedError('POLICY_CHANGED', `there is another policy called ${name}: x0 policy show ${name}`);
  if (known === undefined) await client.ask('PUT', `/policies/${segment(name)}`, { text });
  return name;
}

/** Deletes what {@link allowGroup} wrote, once no node publishes the service any more; their names. */
export async function dropGroups(client: AdminClient, service: string): Promise<readonly string[]> {
  const services = objectsOf(await client.askAll('/services', 'services'), 'services');
  const isPublished = services.some((it) => it['name'] === service && objectsOf(it, 'instances').length > 0);
  if (isPublished) return [];
  const policies = objectsOf(await client.askAll('/policies', 'policies'), 'policies');
  const ours = policies.filter((it) => isOurs(it['text'], service)).map((it) => textOf(it, 'name'));
  for (const name of ours) await client.ask('DELETE', `/policies/${segment(name)}`);
  return ours;
}

function policyName(service: string, group: string): string {
  const slug = group.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  return `expose-${service}-${slug}`.slice(0, NAME_LIMIT_CHARS).replace(/-+$/, '');
}

function policyText(service: string, group: string): string {
  const head = `principal in X0::Group::"${group}", action == X0::Action::"connect", resource == X0::Service::"${service}"`;
  return `// Written by x0 expose ${service} --allow ${group}\npermit(${head});\n`;
}

function isOurs(text: unknown, service: string): boolean {
  if (typeof text !== 'string') return false;
  const group = /^\/\/ Written by x0 expose \S+ --allow (\S+)\n/.exec(text)?.[1];
  return group !== undefined && text === policyText(service, group);
}

async function findText(client: AdminClient, name: string): Promise<unknown> {
  try {
    return (await client.ask('GET', `/policies/${segment(name)}`))['text'];
  } catch (error) {
    if (codeOf(error) === 'POLICY_UNKNOWN') return undefined;
    throw error;
  }
}
