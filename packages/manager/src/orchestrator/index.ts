export { isTaskDirty, specComparer } from './dirty.js';
export { observe, startOrchestrator } from './orchestrator-loop.js';
export { startReaper } from './reaper-loop.js';
export { reconcileService } from './reconcile.js';
