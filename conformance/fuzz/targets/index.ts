// Lists the targets by name. Each is loaded only in the thread that fuzzes it.
import type { FuzzTarget } from '../target.ts'

const LOADERS: Readonly<Record<string, () => Promise<{ readonly target: FuzzTarget }>>> = {
  packet: () => import('./packet.ts'),
  topic: () => import('./topic.ts'),
  policy: () => import('./policy.ts'),
  property: () => import('./property.ts'),
  'model-server': () => import('./model-server.ts'),
  json: () => import('./json.ts'),
  answer: () => import('./answer.ts'),
  stream: () => import('./stream.ts'),
  grpc: () => import('./grpc.ts'),
  openai: () => import('./openai.ts'),
  config: () => import('./config.ts'),
  kubeconfig: () => import('./kubeconfig.ts'),
  'kube-stream': () => import('./kube-stream.ts'),
  'password-file': () => import('./password-file.ts'),
}

/** Names of the targets, in the order of fuzzing. */
export const TARGETS: readonly string[] = Object.keys(LOADERS)

/** Loads a target. @throws TypeError for a name that is not in `TARGETS` */
export async function loadTarget(name: string): Promise<FuzzTarget> {
  const { target } = await LOADERS[name]!()
  return target
}
