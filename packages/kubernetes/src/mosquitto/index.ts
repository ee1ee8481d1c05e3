// The broker's objects, in the order in which they are applied.
import { createHash } from 'node:crypto'
import { aclText } from '@inferwire/mosquitto'
import { metaOf, type KubernetesObject, type Place } from '../object.ts'
import type { Broker } from '../options.ts'
import { mosquittoConf } from './config-text.ts'
import { brokerNetworkPolicy, brokerRoutes, brokerService } from './network.ts'
import { brokerDeployment, brokerVolume } from './workload.ts'

export { mosquittoConf } from './config-text.ts'
export { startScript } from './start-script.ts'

const APP = 'mosquitto'

/** Parameters of the access rules and the NetworkPolicy. */
export interface BrokerUse {
  /** Root of the topics. */
  readonly root: string
  /** The connector's user name. */
  readonly connectorUser: string
  /** Location of the connector; undefined if it is not in this cluster. */
  readonly connector: Place | undefined
}

/** Returns the objects. @throws Error for a root or user name that cannot be part of an ACL file */
export function brokerObjects(broker: Broker, use: BrokerUse): KubernetesObject[] {
  const { root, connectorUser } = use
  const files = {
    'mosquitto.conf': mosquittoConf(broker),
    'acl.txt': aclText({ root, connectorUser, observers: broker.observers }),
  }
  return [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: metaOf(APP, broker, '-config'), data: files },
    ...passwordObjects(broker),
    brokerVolume(broker),
    // Only a changed mosquitto.conf must restart the pod: the broker reads the other files again.
    brokerDeployment(broker, createHash('sha256').update(files['mosquitto.conf']).digest('hex')),
    brokerService(broker),
    ...brokerRoutes(broker),
    brokerNetworkPolicy(broker, use.connector),
    // There is no PodDisruptionBudget. For a single pod, a budget would either have no effect or prevent every
    // drain of the node.
  ]
}

/** Returns the ConfigMap or Secret that contains the password file; no object if an existing Secret is used. */
function passwordObjects(broker: Broker): KubernetesObject[] {
  const metadata = metaOf(APP, broker, '-password')
  const files = { 'password.txt': broker.passwordFile }
  switch (broker.passwords) {
    case 'configmap':
      return [{ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: files }]
    case 'secret':
      return [{ apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque', stringData: files }]
    case 'existing':
      return []
  }
}
