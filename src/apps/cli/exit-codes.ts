/** What the exit status of `x0` means; documented in docs/reference/cli.md. */
export const EXIT = { ok: 0, failed: 1, usage: 2, unfit: 3, noControl: 4, bug: 70 } as const;

const BY_CODE: ReadonlyMap<string, number> = new Map([
  ['USAGE', EXIT.usage],
  ['NODE_TOO_OLD', EXIT.unfit],
  ['PORT_IN_USE', EXIT.unfit],
  ['PORT_NOT_ALLOWED', EXIT.unfit],
  ['ADDRESS_NOT_HERE', EXIT.unfit],
  ['DATA_TOO_NEW', EXIT.unfit],
  ['DATA_INCOMPLETE', EXIT.unfit],
  ['DATA_DAMAGED', EXIT.unfit],
  ['DISK_FULL', EXIT.unfit],
  ['FILE_NOT_PRIVATE', EXIT.unfit],
  ['TRUST_DOMAIN_DIFFERS', EXIT.unfit],
  ['DATA_DIR_IN_USE', EXIT.unfit],
  ['DATA_DIR_UNUSABLE', EXIT.unfit],
  ['IDENTITY_DIFFERS', EXIT.unfit],
  ['CONTROL_NOT_FOUND', EXIT.noControl],
  ['CONTROL_UNREACHABLE', EXIT.noControl],
  ['CONTROL_ANSWER', EXIT.noControl],
]);

/** The exit status for a failure with this code. */
export function exitStatusOf(code: string): number {
  return BY_CODE.get(code) ?? EXIT.failed;
}

/** What to do next about a code, if there is something; `command` is how a person starts this program here. */
export function nextStep(code: string, command: string): string | undefined {
  return NEXT_STEPS.get(code)?.replaceAll(/\bx0(?= )/g, () => command);
}

const NEXT_STEPS: ReadonlyMap<string, string> = new Map([
  ['CONTROL_NOT_FOUND', 'start one with `x0 up` or `x0 control`, or name its directory with --data-dir'],
  ['CONTROL_UNREACHABLE', 'start it with `x0 up` or `x0 control`'],
  ['DATA_DIR_IN_USE', 'stop that process, or choose another --data-dir'],
  ['IDENTITY_DIFFERS', 'give this node a directory of its own with --data-dir DIRECTORY'],
  ['CERT_REVOKED', 'x0 token create --node NAME where the control plane runs, then x0 node --join TOKEN here'],
  ['NO_PATH', '`x0 status` says what is missing; nodes without a link to each other need a relay that both reach'],
  ['NAME_INVALID', 'choose another name, such as web-1'],
  ['TARGET_NOT_ALLOWED', 'choose another target, or start that node with an --allow-target that permits this one'],
  ['NODE_UNKNOWN', 'x0 node list'],
  ['NODE_DOWN', 'x0 status'],
  ['NODE_TIMEOUT', 'x0 status'],
  ['NODE_NOT_DRAINING', 'x0 status'],
  ['GRACE_INVALID', 'choose --grace SECONDS in that range'],
  ['SERVICE_UNKNOWN', 'x0 services'],
  ['FORWARD_EXISTS', 'x0 unforward SERVICE --node NAME first'],
  ['FORWARD_UNKNOWN', 'x0 services lists the forwards that exist'],
  ['FORWARD_ADDRESS_TAKEN', 'choose another port, or x0 unforward the other service first (x0 services)'],
  ['NODE_REVOKED', 'admit it again with `x0 token create --node NAME`'],
  ['TOKEN_GARBLED', 'copy the whole line that `x0 token create` printed'],
  ['TOKEN_UNKNOWN', 'x0 token create --node NAME'],
  ['TTL_INVALID', 'choose --ttl SECONDS in that range'],
  ['TOKEN_USED', 'x0 token create --node NAME'],
  ['TOKEN_EXPIRED', 'x0 token create --node NAME'],
  ['DISK_FULL', 'make room on that disk and try again'],
  ['JOIN_NEEDED', 'x0 token create --node NAME, then x0 node --join TOKEN'],
  ['TOKEN_WRONG_NODE', 'x0 token create --node NAME'],
]);
