/** What the control plane remembers of its mesh. */
export interface ControlTables {
  readonly tokens: TokenRow;
  readonly nodes: NodeRow;
  readonly svids: SvidRow;
  readonly instances: InstanceRow;
  readonly forwards: ForwardRow;
  readonly counters: CounterRow;
  readonly join_requests: JoinRequestRow;
}

/** How a node's grant lies in the tables `tokens` and `nodes`. */
export interface GrantColumns {
  readonly relay: number;
  readonly labels: string;
  readonly links: string | null;
}

export interface TokenRow extends GrantColumns {
  readonly id: string;
  readonly secret_hash: string;
  readonly node: string;
  readonly created_at_ms: number;
  readonly expires_at_ms: number;
  readonly used_at_ms: number | null;
  /** A person is to let its node in. */
  readonly approval: number;
}

/** A node that waits for a person, or that one decided about. */
interface JoinRequestRow {
  /** Of its token. */
  readonly id: string;
  readonly node: string;
  readonly key_hash: string;
  readonly addresses: string;
  readonly state: string;
  readonly asked_at_ms: number;
  readonly expires_at_ms: number;
  readonly decided_by: string | null;
  readonly decided_at_ms: number | null;
}

export interface NodeRow extends GrantColumns {
  readonly name: string;
  readonly spiffe_id: string;
  readonly addresses: string;
  readonly admitted_at_ms: number;
  readonly revoked: number;
  /** Of its latest SVID, as is the next. */
  readonly serial: string;
  readonly not_after_ms: number;
}

interface SvidRow {
  readonly serial: string;
  readonly node: string;
  readonly spiffe_id: string;
  readonly not_after_ms: number;
  readonly issued_at_ms: number;
  readonly revoked_epoch: number | null;
}

export interface InstanceRow {
  readonly service: string;
  readonly node: string;
  readonly host: string;
  readonly port: number;
  readonly proxy_protocol: number;
}

export interface ForwardRow {
  readonly node: string;
  readonly service: string;
  readonly host: string;
  readonly port: number;
}

interface CounterRow {
  readonly name: string;
  readonly value: number;
  readonly mark: string;
}
