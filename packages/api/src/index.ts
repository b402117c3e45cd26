export { type Api, type ApiDependencies, createApi } from './create-api.js';
export { API_VERSION, MIN_API_VERSION } from './http/versions.js';
