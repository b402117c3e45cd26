export * from './gen/swarmd/v1/dispatcher.js';
export * from './gen/swarmd/v1/join.js';
