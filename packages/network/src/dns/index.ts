export { createNameServer, type NameServerDeps } from './server.js';
