// Generates the Kubernetes objects of the broker and the connector, as data.
export { chartFiles } from './chart-files.ts'
export { manifestParts, manifests, type ManifestOptions } from './manifests.ts'
export { mosquittoConf } from './mosquitto/index.ts'
export type { KubeflowOptions } from './kubeflow/options.ts'
export type { KubernetesObject } from './object.ts'
export { OptionError } from './option-error.ts'
export {
  EXAMPLE_PASSWORD_FILE,
  type BrokerOptions,
  type ConnectorOptions,
  type Expose,
  type MosquittoVersion,
  type SecretMount,
  type TlsOptions,
} from './options.ts'
export { resourceFiles } from './resource-files.ts'
export { entryPorts, traefikHelmValues } from './traefik.ts'
export { manifestText, parseYamlMap, yamlText } from './yaml.ts'
