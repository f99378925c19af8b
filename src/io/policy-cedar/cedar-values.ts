import type { CedarValueJson, EntityJson, EntityUidJson } from '@cedar-policy/cedar-wasm/nodejs';
import type { EntityRef, PolicyEntity, PolicyValue } from '#trust/policy/engine.ts';
import { NAMESPACE } from '#trust/policy/schema.ts';

export function toUid({ type, id }: EntityRef): EntityUidJson {
  return { type: `${NAMESPACE}::${type}`, id };
}

export function toEntity({ type, id, attributes, parents }: PolicyEntity): EntityJson {
  return {
    uid: toUid({ type, id }),
    attrs: toRecord(attributes),
    parents: parents.map((parent) => toUid(parent)),
  };
}

export function toRecord(values: Readonly<Record<string, PolicyValue>>): Record<string, CedarValueJson> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, toValue(value)]));
}

function toValue(value: PolicyValue): CedarValueJson {
  if (typeof value !== 'object') return value;
  return isEntityRef(value) ? { __entity: { type: `${NAMESPACE}::${value.type}`, id: value.id } } : toRecord(value);
}

/** A record with just these two texts is an entity: no record of ours has such fields. */
function isEntityRef(value: object): value is EntityRef {
  const { type, id } = value as Partial<EntityRef>;
  return typeof type === 'string' && typeof id === 'string' && Object.keys(value).length === 2;
}
