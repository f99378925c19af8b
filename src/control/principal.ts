/** What people can be, from the one who may do all to those who only look. */
export const USER_ROLES = ['admin', 'operator', 'viewer', 'auditor'] as const;
export type UserRole = (typeof USER_ROLES)[number];

/** `node` is what members of the mesh are, and no person. */
export type Role = UserRole | 'node';

/** Who asks, as a credential proved it. */
export interface Principal {
  readonly kind: 'user' | 'node' | 'control';
  readonly id: string;
  readonly roles: readonly Role[];
}

/** Whoever holds `admin.token`: a person or script with access to the data directory. */
export const LOCAL_ADMIN: Principal = { kind: 'user', id: 'local', roles: ['admin'] };
