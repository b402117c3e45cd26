export { BACKUP_TABLES, type BackupSummary, type Snapshot } from './content.js';
export type { BackupHeader } from './header.js';
export { createKeyFile, loadKeyFile } from './key-file.js';
export { type ReadOptions, readBackup } from './read.js';
export { createRecoveryKey, parseRecoveryKey } from './recovery-key.js';
export { checkBackup, PARTIAL_SUFFIX, saveBackup } from './save.js';
export { MIN_PASSPHRASE_LENGTH } from './secret.js';
export { type BackupOptions, writeBackup } from './write.js';
