// The options for models behind Kubeflow's service mesh, with their checks.
import { check } from '../option-error.ts'
import { PATTERNS } from '../patterns.ts'

/** How KServe deploys the models: https://kserve.github.io/website/docs/concepts/architecture/control-plane */
export type DeploymentMode = 'standard' | 'knative'

/** Options for models in a namespace of Kubeflow's service mesh. */
export interface KubeflowOptions {
  /** Namespace of the InferenceServices, usually that of a Kubeflow profile. */
  readonly modelNamespace: string
  /** KServe's deployment mode. */
  readonly mode: DeploymentMode
  /** Whether the mesh uses ztunnel (Istio's ambient mode) instead of sidecars. @default false */
  readonly ambient?: boolean
  /** The InferenceServices that the connector may call. @default none */
  readonly inferenceServices?: readonly string[]
  /**
   * Whether to create a NetworkPolicy that admits the connector to Istio's gateways. Where no NetworkPolicy selects the
   * gateways yet, it would shut out all other clients. @default false
   */
  readonly admitToGateway?: boolean
}

/** The options with every default. */
export type Kubeflow = Required<KubeflowOptions>

/** Returns the options with all defaults. @throws OptionError for the first unusable option */
export function completeKubeflow(options: KubeflowOptions): Kubeflow {
  const { modelNamespace, mode, ambient = false, inferenceServices = [], admitToGateway = false } = options
  check('kubeflow.modelNamespace', modelNamespace, PATTERNS.namespace, 'the name of a namespace')
  for (const name of inferenceServices) {
    check('kubeflow.inferenceServices', name, PATTERNS.namespace, 'the name of an InferenceService')
  }
  const names = [...new Set(inferenceServices)]
  return { modelNamespace, mode, ambient, inferenceServices: names, admitToGateway }
}
