// Starts a control plane with KServe, but without a node: pods stay pending, and tests write their status.
import { tempFolder } from '../fixtures/temp-folder.ts'
import { findComponents } from './components.ts'
import { startControlPlane, type ControlPlane } from './control-plane.ts'
import { applyCrds } from './crds.ts'
import { startKserve, type Kserve } from './kserve/controller.ts'
import { NODE_ADDRESS, setUpNodeNetwork } from './node/network.ts'

/** A running control plane with KServe. */
export interface KserveCluster {
  readonly plane: ControlPlane
  readonly kserve: Kserve
  stop(): Promise<void>
}

/** Starts the control plane and KServe. Works only in a worker of own-network-pool.ts. */
export async function startKserveCluster(): Promise<KserveCluster> {
  const components = await findComponents()
  const folder = tempFolder('kserve')
  await setUpNodeNetwork()
  const plane = await startControlPlane(components, folder, NODE_ADDRESS)
  const [kserve] = await Promise.all([startKserve(components, plane, folder, 'full'), applyCrds(plane.api)])
  return {
    plane,
    kserve,
    stop: async () => {
      await kserve.stop()
      await plane.stop()
    },
  }
}
