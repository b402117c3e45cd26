export { alignColumns, type ColumnLayout, DOCKER_COLUMNS, displayWidth } from './align-columns.js';
export { DOCKER_FUNCTIONS, toGoJson } from './docker-functions.js';
export { TemplateError } from './errors.js';
export type { Missing } from './execution.js';
export { type FormatOptions, type FormatRow, formatTable } from './format-table.js';
export {
  type DeclaredFunction,
  fixed,
  type ParameterType,
  type TemplateFunction,
  type TemplateFunctions,
  variadic,
} from './functions.js';
export { sprintf } from './printf.js';
export {
  type ContainerSpecTemplates,
  expandPayload,
  expandServiceTemplates,
  expandTemplate,
  type PayloadSources,
  type TaskTemplateContext,
  type TaskTemplateSource,
  taskTemplateContext,
} from './service-templates.js';
export { parseTemplate, type Template, type TemplateOptions } from './template.js';
export { structValue } from './values.js';
