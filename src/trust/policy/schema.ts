/** Of the entities and actions below; a snapshot says under which its policies were written. */
export const POLICY_SCHEMA_VERSION = 1;

/** The Cedar namespace of everything here. */
export const NAMESPACE = 'X0';
/** The action of the mesh: a node opens a stream to a service. */
export const CONNECT = 'connect';
/** The group of every member. */
export const MEMBERS = 'members';

/**
 * The Cedar schema that an operator's policies are held to. A node is in one group for each of its labels (`key=value`) and in
 * `members`. Posture is what the control plane judged of a node's reports; what it does not know reads `unknown`. Time is UTC.
 */
export const MESH_SCHEMA: string = `namespace ${NAMESPACE} {
  type Posture = { version: String, os: String, health: String, lastSeenMinutes: Long };
  type Time = { minuteOfDay: Long, weekday: String };
  entity Group;
  entity Node in [Group] { relay: Bool, posture: Posture };
  entity Service;
  action "${CONNECT}" appliesTo { principal: [Node], resource: [Service], context: Time };
}
`;
