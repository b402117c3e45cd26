export { type Action, type Answer, type Call, createHistory, describeCall, type History } from './call.js';
export { type CheckOptions, checkHistory, checkKey, type Verdict } from './linearizability.js';
export { absentRegister, applyCall, type Register } from './register.js';
