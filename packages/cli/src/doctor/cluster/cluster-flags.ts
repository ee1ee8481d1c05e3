// The options that name a cluster.

/** How the command line names the cluster. */
export interface ClusterFlags {
  readonly kubeconfig?: string | undefined
  readonly context?: string | undefined
  /** Namespace of the InferenceServices. */
  readonly namespace?: string | undefined
}
