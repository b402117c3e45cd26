export { startAllocator } from './allocator-loop.js';
