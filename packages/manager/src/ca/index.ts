export * from './authority.js';
export * from './certificate.js';
export * from './issuer.js';
export * from './join.js';
export * from './join-token.js';
export * from './members.js';
export * from './remote-issuer.js';
export * from './renewal.js';
