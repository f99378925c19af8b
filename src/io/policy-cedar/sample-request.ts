import type { PolicyEntity, PolicyRequest, PolicyText } from '#trust/policy/engine.ts';
import type { PolicyEvaluator } from '#trust/policy/policy-decider.ts';

const NODE = { type: 'Node', id: 'a' };
const GROUP = { type: 'Group', id: 'members' };
const SERVICE = { type: 'Service', id: 's' };
const REQUEST: PolicyRequest = {
  principal: NODE,
  action: 'connect',
  resource: SERVICE,
  context: { minuteOfDay: 5, weekday: 'monday' },
};
const POSTURE = { version: '1', os: 'linux', health: 'up', lastSeenMinutes: 0 };
const ENTITIES: readonly PolicyEntity[] = [
  { ...NODE, attributes: { relay: true, posture: POSTURE }, parents: [GROUP] },
];
/** What policies are mostly made of. */
const POLICIES: readonly PolicyText[] = [
  {
    id: 'sample',
    text: `permit(principal in X0::Group::"members", action == X0::Action::"connect", resource == X0::Service::"s")
      when { principal.posture.os == "linux" && context.minuteOfDay < 6 } unless { principal.posture.os like "w*" || !principal.relay };`,
  },
];

/** Has the evaluator do once what it does for most decisions. */
export function useOnce(evaluator: PolicyEvaluator): void {
  evaluator.evaluate(POLICIES, REQUEST, ENTITIES);
}
